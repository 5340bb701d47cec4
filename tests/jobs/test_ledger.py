import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.ledger import MINUTE, MINUTES, Histogram, Series, step_of
from app.scheduler import Status

millis = st.integers(min_value=1, max_value=10**9)


@given(st.lists(millis, min_size=1))
def test_quantiles_are_within_a_tenth(durations: list[int]) -> None:
    """A quantile is within 10 % of the duration that has that rank."""
    histogram = Histogram()
    for duration in durations:
        histogram.add(step_of(duration))
    quantiles = histogram.quantiles()
    assert quantiles is not None
    ranked = sorted(durations)
    for found, share in ((quantiles.p50, 0.5), (quantiles.p90, 0.9), (quantiles.p99, 0.99)):
        exact = ranked[max(0, -int(-share * len(ranked) // 1) - 1)]
        assert found == pytest.approx(exact / 1000, rel=0.1, abs=0.001)


def test_no_durations() -> None:
    """Without a duration there is no quantile."""
    assert Histogram().quantiles() is None
    assert Histogram().median() is None


@given(st.lists(millis, min_size=1, max_size=200))
def test_the_median_follows(durations: list[int]) -> None:
    """The median is that of nearly all that were counted: at most a sixteenth and one are newer."""
    histogram = Histogram()
    medians = []
    for duration in durations:
        histogram.add(step_of(duration))
        quantiles = histogram.quantiles()
        assert quantiles is not None
        medians.append(quantiles.p50)
        newest = medians[-(len(medians) // 16 + 2) :]
        assert histogram.median() in newest


def test_periods_without_an_end() -> None:
    """Periods in which nothing ended are there, and only the last ones are kept."""
    series = Series(MINUTE, MINUTES)
    series.add(Status.COMPLETED, 5, 10 * MINUTE)
    series.add(Status.FAILED, None, 12 * MINUTE + 1)
    first, empty, last = series.periods(12 * MINUTE + 2)
    assert (first.start, first.ended) == (10 * MINUTE, {Status.COMPLETED: 1})
    assert (empty.ended, empty.durations) == ({}, None)
    assert (last.ended, last.durations) == ({Status.FAILED: 1}, None)
    assert len(series.periods(10**6 * MINUTE)) == MINUTES


def test_a_clock_that_was_set_back_counts_on() -> None:
    """An end before the newest period counts into it."""
    series = Series(MINUTE, MINUTES)
    series.add(Status.COMPLETED, 5, 10 * MINUTE)
    series.add(Status.COMPLETED, 5, 8 * MINUTE)
    [period] = series.periods(9 * MINUTE)
    assert period.ended == {Status.COMPLETED: 2}
