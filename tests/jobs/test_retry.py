import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.admission import MAX_DELAY
from app.jobs.models import ErrorType, JobError
from app.jobs.retry import MAX_BACKOFF, delay_after, is_retried

RETRIED = {ErrorType.EXCEPTION, ErrorType.TIMEOUT, ErrorType.INTERRUPTED}

attempts = st.integers(1, 10**6)


@pytest.mark.parametrize("kind", ErrorType)
def test_which_errors_are_retried(kind: ErrorType) -> None:
    """Exceptions, timeouts and interruptions are worth another attempt, and nothing else is."""
    assert is_retried(JobError(kind, ""), OSError(), Exception) == (kind in RETRIED)


@pytest.mark.parametrize(
    ("raised", "retry_on", "retried"),
    [
        (ConnectionError(), OSError, True),
        (ConnectionError(), (ValueError, OSError), True),
        (ConnectionError(), ValueError, False),
        (ConnectionError(), (), False),
        (SystemExit(), Exception, False),
        (KeyboardInterrupt(), Exception, False),
    ],
)
def test_of_exceptions_those_in_retry_on_are_retried(
    raised: BaseException, retry_on: type[Exception] | tuple[type[Exception], ...], retried: bool
) -> None:
    """Subclasses count; a `BaseException` is never retried."""
    assert is_retried(JobError(ErrorType.EXCEPTION, ""), raised, retry_on) is retried


@pytest.mark.parametrize("kind", [ErrorType.TIMEOUT, ErrorType.INTERRUPTED])
def test_an_interrupted_attempt_is_retried_whatever_it_raised(kind: ErrorType) -> None:
    """What the clean-up raises says nothing about the task."""
    assert is_retried(JobError(kind, ""), SystemExit(), ())


@given(attempt=attempts, backoff=st.floats(0, 1e300), jitter=st.floats(0, 1))
def test_a_delay_lies_within_its_bound(attempt: int, backoff: float, jitter: float) -> None:
    """It is never negative, never above a minute nor above what doubling gives."""
    delay = delay_after(attempt, backoff, lambda: jitter)
    assert 0 <= delay <= min(MAX_BACKOFF, backoff * 2.0 ** min(attempt - 1, 1000))


def test_the_bound_doubles_up_to_a_minute() -> None:
    """By default 1 s, 2 s, 4 s and so on; the jitter takes anything from 0 to that."""
    bounds = [delay_after(attempt, 1.0, lambda: 1.0) for attempt in range(1, 9)]
    assert bounds == [1, 2, 4, 8, 16, 32, 60, 60]
    assert delay_after(3, 1.0, lambda: 0.0) == 0
    assert delay_after(3, 1.0, lambda: 0.5) == 2


@given(attempt=attempts, delay=st.floats(0, MAX_DELAY))
def test_a_function_gives_the_exact_delay(attempt: int, delay: float) -> None:
    """It is asked with the number of the failed attempt; no jitter, no minute."""
    asked = []

    def backoff(number: int) -> float:
        asked.append(number)
        return delay

    assert delay_after(attempt, backoff, lambda: 0.5) == delay
    assert asked == [attempt]


def _raising(_: int) -> float:
    raise RuntimeError("out of order")


@pytest.mark.parametrize(
    "backoff",
    [
        _raising,
        lambda _: math.nan,
        lambda _: math.inf,
        lambda _: -1.0,
        lambda _: 1e306,
        lambda _: 10**400,
        lambda _: None,
        lambda _: "soon",
    ],
    ids=["raises", "nan", "inf", "negative", "1e306", "10**400", "None", "text"],
)
def test_a_function_without_an_answer_gets_the_longest_delay(
    backoff: Callable[[int], float], caplog: pytest.LogCaptureFixture
) -> None:
    """The job is retried a minute later, and the log says why."""
    assert delay_after(1, backoff, lambda: 0.5) == MAX_BACKOFF
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.exc_info
