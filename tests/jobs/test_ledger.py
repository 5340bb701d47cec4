from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.jobs.ledger import MINUTE, MINUTES, QUARTER, QUARTERS, Ledger, Ledgers
from app.jobs.models import Job
from app.jobs.periods import Histogram, step_of
from app.scheduler import Status
from tests.jobs.attempts import JOB

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


class Clock:
    """The time, as a test sets it."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def ended(ledger: Ledger, status: Status, ran: int | None = None) -> None:
    """A job of the ledger ends."""
    ledger.moved("a", None, status, ran)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock(10 * QUARTER)


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    """One that goes by the clock."""
    return Ledger(clock)


def test_periods_without_an_end(ledger: Ledger, clock: Clock) -> None:
    """Periods in which nothing ended are there, and only the last ones are kept."""
    ended(ledger, Status.COMPLETED, 5)
    clock.now += 2 * MINUTE + 1
    ended(ledger, Status.FAILED)
    first, empty, last = ledger.minutes()
    assert (first.start, first.ended) == (10 * QUARTER, {Status.COMPLETED: 1})
    assert (empty.ended, empty.durations) == ({}, None)
    assert (last.ended, last.durations) == ({Status.FAILED: 1}, None)
    clock.now += 1000 * QUARTER
    assert (len(ledger.minutes()), len(ledger.quarter_hours())) == (MINUTES, QUARTERS)
    assert not any(period.ended for period in ledger.minutes())


def test_a_clock_that_was_set_back_counts_on(ledger: Ledger, clock: Clock) -> None:
    """An end before the newest period counts into it."""
    ended(ledger, Status.COMPLETED, 5)
    clock.now -= 2 * MINUTE
    ended(ledger, Status.COMPLETED, 5)
    clock.now += MINUTE
    for [period] in (ledger.minutes(), ledger.quarter_hours()):
        assert period.ended == {Status.COMPLETED: 2}


@given(st.lists(st.tuples(st.integers(0, QUARTER), st.booleans()), max_size=60))
def test_quarters_have_the_ends_of_their_minutes(steps: list[tuple[int, bool]]) -> None:
    """Whenever they are looked at, minutes and quarters have each end once, where it belongs."""
    clock = Clock(7 * QUARTER)
    ledger = Ledger(clock)
    ends: list[int] = []
    for later, looks in steps:
        clock.now += later
        if looks:
            ledger.minutes()
            ledger.quarter_hours()
        ended(ledger, Status.COMPLETED, 5)
        ends.append(clock.now)
    for periods, width, kept in (
        (ledger.minutes(), MINUTE, MINUTES),
        (ledger.quarter_hours(), QUARTER, QUARTERS),
    ):
        oldest = clock.now // width - kept
        expected = Counter(end // width for end in ends if end // width > oldest)
        assert {p.start // width: p.ended[Status.COMPLETED] for p in periods if p.ended} == expected
        assert all(period.durations is not None for period in periods if period.ended)


def end(ledgers: Ledgers, clock: Clock, job: Job) -> None:
    """A job runs for five seconds."""
    ledgers.moved(job, None, Status.RUNNING, clock.now)
    ledgers.moved(job, Status.RUNNING, Status.COMPLETED, clock.now, clock.now + 5_000)


def test_a_rare_task_is_expected_as_it_was(clock: Clock) -> None:
    """The first end of a task is known at once, whatever has piled up of others."""
    ledgers = Ledgers(clock)
    for _ in range(2_000):
        end(ledgers, clock, replace(JOB, run_at=clock.now))
    rare = replace(JOB, task="rare", run_at=clock.now, started_at=clock.now)
    assert ledgers.expected(rare) is None
    end(ledgers, clock, rare)
    assert ledgers.expected(rare) == pytest.approx(5, rel=0.1)


def test_what_piles_up_is_seen_by_whoever_looks(clock: Clock) -> None:
    """Counts, ends and an owner's own are those of every change, at whatever moment."""
    ledgers = Ledgers(clock)
    for number in range(450):
        end(ledgers, clock, replace(JOB, run_at=clock.now, owner="ann" if number % 3 else None))
        if number in (0, 7, 449):
            own = number + 1 - len(range(0, number + 1, 3))
            assert ledgers.of(None).jobs()[Status.COMPLETED] == number + 1
            assert ledgers.of("ann").jobs()[Status.COMPLETED] == own
            assert ledgers.observer.ends[JOB.task][Status.COMPLETED] == number + 1
            assert sum(p.ended[Status.COMPLETED] for p in ledgers.of(None).minutes()) == number + 1
