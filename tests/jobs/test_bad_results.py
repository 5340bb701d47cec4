from typing import Any

import pytest

from app.jobs.models import ErrorType, JobError
from app.jobs.options import TaskOptions
from app.jobs.runner import Outcome
from app.scheduler import BackgroundTaskScheduler, Step
from tests.jobs.attempts import Started


async def give_text() -> int:
    """Returns what is no int."""
    return "5"  # type: ignore[return-value]


async def give_nan() -> float:
    """Returns what is no JSON."""
    return float("nan")


async def give_much() -> str:
    """Returns more than the limit."""
    return "é" * 50


async def give_a_long_key() -> dict[str, int]:
    """Returns what is wrong at a place with a long name."""
    return {"k" * 5_000: "5"}  # type: ignore[dict-item]


async def give_nothing() -> int:
    """Returns None in place of a number."""
    return None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (give_text, "the result is not of the declared type: Input should be a valid integer"),
        (give_nothing, "the result is not of the declared type: Input should be a valid integer"),
        (give_nan, "the result is no JSON value (ValueError)"),
        (give_much, "the result is 102 bytes of JSON; the limit is 100"),
        (give_a_long_key, "the result is not of the declared type: /" + "k" * 1_958 + "…"),
    ],
)
async def test_a_bad_result_fails_the_job(
    function: Any, message: str, scheduler: BackgroundTaskScheduler
) -> None:
    """It is never retried: the next attempt would return the same."""
    outcome = await Started(scheduler, function, TaskOptions(retries=3)).outcome()
    error = JobError(ErrorType.BAD_RESULT, message)
    assert outcome == Outcome(step=Step.FAIL, raised=error, error=error)


async def test_a_result_at_the_limit_is_taken(scheduler: BackgroundTaskScheduler) -> None:
    """The limit counts the bytes of the JSON text and belongs to what is allowed."""

    async def work() -> str:
        return "x" * 98

    outcome = await Started(scheduler, work).outcome()
    assert outcome.returned == b'"' + b"x" * 98 + b'"'
