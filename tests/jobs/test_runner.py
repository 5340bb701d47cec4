import asyncio
import functools
import logging
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator

from app.jobs import JobContext
from app.jobs.models import ErrorType, JobError, Progress
from app.jobs.options import TaskOptions
from app.jobs.runner import Outcome
from app.scheduler import BackgroundTaskScheduler, Step
from tests.jobs.attempts import JOB, NOW, Started


async def test_a_result_completes_the_job(scheduler: BackgroundTaskScheduler) -> None:
    """What the coroutine returns is its result, as JSON; there is one outcome and no error."""

    async def add(a: int, b: int) -> int:
        return a + b

    started = Started(scheduler, add, params=b'{"a":1,"b":2}')
    assert started.outcomes == []
    assert await started.outcome() == Outcome(step=Step.COMPLETE, returned=b"3")


async def test_none_is_a_result(scheduler: BackgroundTaskScheduler) -> None:
    """A coroutine that returns nothing has completed with null."""

    async def work() -> None: ...

    outcome = await Started(scheduler, work).outcome()
    assert outcome == Outcome(step=Step.COMPLETE, returned=b"null")


async def test_it_runs_in_a_later_turn(scheduler: BackgroundTaskScheduler) -> None:
    """Starting an attempt runs nothing of it yet, and gives the task in the scheduler."""
    steps = []

    async def work() -> None:
        steps.append("first")

    started = Started(scheduler, work)
    assert steps == []
    assert started.attempt.running is not None
    assert started.attempt.running.name == f"work {JOB.id}"
    await started.outcome()
    assert steps == ["first"]


async def test_the_context_is_that_of_the_job(scheduler: BackgroundTaskScheduler) -> None:
    """Id, attempt, labels and time are the job's; what it says reaches the sink."""

    async def work(*, job: JobContext) -> list[Any]:
        job.progress(0.5, "half")
        job.log("done")
        assert job.remaining is not None
        return [str(job.id), job.attempt, dict(job.labels), 0 < job.remaining <= 60]

    started = Started(scheduler, work, attempt=2, max_attempts=3, labels={"a": "b"}, timeout=60)
    outcome = await started.outcome()
    assert outcome.returned == f'["{JOB.id}",2,{{"a":"b"}},true]'.encode()
    assert started.notebook.shown == [Progress(0.5, "half")]
    assert started.notebook.lines == ["done"]


class Odd(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("raised", "exception", "message"),
    [
        (ValueError("Something went wrong!"), "ValueError", "Something went wrong!"),
        (Odd(), "Odd", "(its text cannot be had: RuntimeError)"),
        (ValueError("x" * 5_000), "ValueError", "x" * 1_999 + "…"),
        (TimeoutError(), "TimeoutError", ""),
        (SystemExit(3), "SystemExit", "3"),
        (KeyboardInterrupt(), "KeyboardInterrupt", ""),
        (GeneratorExit(), "GeneratorExit", ""),
        (asyncio.CancelledError("by myself"), "CancelledError", "by myself"),
        (ExceptionGroup("two", [ValueError(), OSError()]), "ExceptionGroup", "two (2 sub-exce"),
    ],
)
async def test_an_exception_fails_the_job(
    raised: BaseException,
    exception: str,
    message: str,
    scheduler: BackgroundTaskScheduler,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its class and message are the job's error, and the log has its traceback."""

    async def work() -> None:
        raise raised

    outcome = await Started(scheduler, work).outcome()
    assert outcome.step is Step.FAIL
    assert outcome.error is not None
    assert outcome.error.type is ErrorType.EXCEPTION
    assert outcome.error.exception == exception
    assert outcome.error.message.startswith(message)
    [record] = caplog.records
    assert str(JOB.id) in record.message
    assert "Traceback" in record.message
    assert exception in record.message


@pytest.mark.parametrize(
    ("attempt", "step", "retry_at"),
    [(1, Step.RETRY, NOW + 500), (3, Step.RETRY, NOW + 2_000), (4, Step.FAIL, None)],
)
async def test_an_exception_is_retried_while_attempts_are_left(
    attempt: int, step: Step, retry_at: int | None, scheduler: BackgroundTaskScheduler
) -> None:
    """The next attempt is due after the back-off; the last failure is final."""

    async def work() -> None:
        raise ConnectionError("refused")

    options = TaskOptions(retries=3)
    outcome = await Started(scheduler, work, options, attempt=attempt).outcome()
    assert outcome.step is step
    assert outcome.retry_at == retry_at
    assert outcome.error == JobError(ErrorType.EXCEPTION, "refused", "ConnectionError")


@pytest.mark.parametrize(
    "raised",
    [ValueError(), SystemExit(), KeyboardInterrupt(), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_not_worth_a_retry_is_final(
    raised: BaseException, scheduler: BackgroundTaskScheduler
) -> None:
    """Another exception than `retry_on` names, and any `BaseException`, fails at once."""

    async def work() -> None:
        raise raised

    options = TaskOptions(retries=3, retry_on=OSError)
    assert (await Started(scheduler, work, options).outcome()).step is Step.FAIL
    if not isinstance(raised, Exception):
        outcome = await Started(scheduler, work, TaskOptions(retries=3)).outcome()
        assert outcome.step is Step.FAIL


async def test_the_back_off_of_the_task_is_taken(scheduler: BackgroundTaskScheduler) -> None:
    """A function gets the number of the failed attempt and gives the exact delay."""

    async def work() -> None:
        raise ConnectionError

    options = TaskOptions(retries=9, backoff=lambda attempt: attempt * 10)
    outcome = await Started(scheduler, work, options, attempt=7).outcome()
    assert outcome.retry_at == NOW + 70_000


def _explode(value: int) -> int:
    raise ZeroDivisionError(value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (b'{"value":"x"}', "/params/value: Input should be a valid integer"),
        (b"{}", "/params/value: Field required"),
        (b"nonsense", "/params: Invalid JSON"),
        (b'{"value":"x","%s":1}' % (b"y" * 3_000), "/params/value: Input"),
        (b'{"value":1}', "/params: could not be checked: ZeroDivisionError"),
    ],
)
async def test_params_that_no_longer_fit_fail_the_job(
    params: bytes, message: str, scheduler: BackgroundTaskScheduler
) -> None:
    """A stored job may be older than its task: nothing runs, and nothing is retried."""
    ran = []

    async def work(value: Annotated[int, AfterValidator(_explode)]) -> None:
        ran.append(value)

    started = Started(scheduler, work, TaskOptions(retries=3), params=params)
    outcome = await started.outcome()
    assert outcome.step is Step.FAIL
    assert outcome.error is not None
    assert outcome.error.type is ErrorType.INVALID_PARAMS
    assert outcome.error.message.startswith(message)
    assert len(outcome.error.message) <= 2_000
    assert started.attempt.running is None
    assert ran == []


async def awkward(func: int, name: int, priority: int, self: int, args: int) -> list[int]:
    """Has parameters that the scheduler has a use for."""
    return [func, name, priority, self, args]


async def test_parameters_may_have_the_names_of_the_scheduler(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """They reach the coroutine, not what starts it."""
    params = b'{"func":1,"name":2,"priority":3,"self":4,"args":5}'
    assert (await Started(scheduler, awkward, params=params).outcome()).returned == b"[1,2,3,4,5]"


async def test_a_decorated_coroutine_runs(scheduler: BackgroundTaskScheduler) -> None:
    """The wrapper is called with the parameters of what it wraps."""

    async def work(number: int) -> int:
        return number

    @functools.wraps(work)
    async def twice(*args: Any, **kwargs: Any) -> int:
        return 2 * await work(*args, **kwargs)

    assert (await Started(scheduler, twice, params=b'{"number":4}').outcome()).returned == b"8"


async def test_one_failing_job_leaves_the_others_alone(scheduler: BackgroundTaskScheduler) -> None:
    """A hundred attempts at once have each its own outcome."""

    async def work(number: int) -> int:
        await asyncio.sleep(number % 7)
        if number % 3 == 0:
            raise SystemExit(number)
        return number

    attempts = [Started(scheduler, work, params=b'{"number":%d}' % n) for n in range(100)]
    outcomes = [await attempt.outcome() for attempt in attempts]
    for number, outcome in enumerate(outcomes):
        assert outcome.step is (Step.COMPLETE if number % 3 else Step.FAIL)


async def test_a_quiet_job_leaves_the_log_quiet(
    scheduler: BackgroundTaskScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    """A job that completes is nothing to warn of."""

    async def work() -> None: ...

    with caplog.at_level(logging.DEBUG, "app"):
        await Started(scheduler, work, timeout=1).outcome()
        await asyncio.sleep(60)
    assert caplog.records == []
