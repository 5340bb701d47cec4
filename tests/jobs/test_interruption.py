import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.jobs.models import ErrorType, JobError
from app.jobs.runner import Interruption, Outcome
from app.scheduler import BackgroundTaskScheduler, Step
from tests.jobs.attempts import NOW, RETRIES, Started, interrupted, turns
from tests.jobs.endings import (
    raise_an_error,
    raise_an_exit,
    return_a_text,
    return_a_value,
    return_none,
    return_nothing,
    wait_for_ever,
)

CANCEL, TIMEOUT, SHUTDOWN = Interruption

BAD = JobError(
    ErrorType.BAD_RESULT,
    "the result is not of the declared type: Input should be a valid integer",
)
RAISED = JobError(ErrorType.EXCEPTION, "no connection", "ConnectionError")
LEFT = JobError(ErrorType.EXCEPTION, "3", "SystemExit")

endings = pytest.mark.parametrize(
    ("function", "returned", "raised"),
    [
        (wait_for_ever, None, None),
        (return_a_value, b"7", None),
        (return_none, None, None),
        (return_nothing, None, None),
        (return_a_text, None, BAD),
        (raise_an_error, None, RAISED),
        (raise_an_exit, None, LEFT),
    ],
)


@endings
async def test_a_cancelled_job_is_cancelled_whatever_it_does(
    function: Any,
    returned: bytes | None,
    raised: JobError | None,
    scheduler: BackgroundTaskScheduler,
) -> None:
    """What it returns is its result, what it raises its error; it is never retried."""
    outcome = await (await interrupted(scheduler, function, CANCEL)).outcome()
    assert outcome == Outcome(step=Step.CANCEL, returned=returned, raised=raised)


@pytest.mark.parametrize(
    ("reason", "kind", "word"),
    [(TIMEOUT, ErrorType.TIMEOUT, "60 s"), (SHUTDOWN, ErrorType.INTERRUPTED, "shut down")],
)
@pytest.mark.parametrize("attempt", [1, 2])
@endings
async def test_an_interrupted_attempt_has_failed_whatever_it_does(
    function: Any,
    returned: bytes | None,
    raised: JobError | None,
    attempt: int,
    reason: Interruption,
    kind: ErrorType,
    word: str,
    scheduler: BackgroundTaskScheduler,
) -> None:
    """It is retried while attempts are left; what it returned or raised is kept for a cancel."""
    started = await interrupted(scheduler, function, reason, attempt=attempt, timeout=60)
    outcome = await started.outcome()
    assert outcome.step is (Step.RETRY if attempt == 1 else Step.FAIL)
    assert outcome.retry_at == (NOW + 500 if attempt == 1 else None)
    assert (outcome.returned, outcome.raised) == (returned, raised)
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.exception) == (kind, None)
    assert word in outcome.error.message


async def test_time_runs_out(scheduler: BackgroundTaskScheduler) -> None:
    """After its timeout an attempt is interrupted, to the second."""
    started = Started(scheduler, wait_for_ever, timeout=60)
    before = asyncio.get_running_loop().time()
    outcome = await started.outcome()
    assert outcome.error == JobError(ErrorType.TIMEOUT, "the attempt took longer than its 60 s")
    assert asyncio.get_running_loop().time() - before == pytest.approx(60)


async def test_a_job_that_ends_in_time_is_left_alone(scheduler: BackgroundTaskScheduler) -> None:
    """The timeout of an attempt that has ended does nothing any more."""

    async def work() -> int:
        await asyncio.sleep(59.9)
        return 1

    started = Started(scheduler, work, timeout=60)
    await asyncio.sleep(120)
    assert await started.outcome() == Outcome(step=Step.COMPLETE, returned=b"1")
    assert started.attempt.interruption is None


async def test_a_timeout_of_its_own_is_an_exception(scheduler: BackgroundTaskScheduler) -> None:
    """A coroutine that limits itself raises what it raises: our flag is not set."""

    async def work() -> None:
        async with asyncio.timeout(5):
            await wait_for_ever()

    outcome = await Started(scheduler, work, timeout=60).outcome()
    assert outcome.error == JobError(ErrorType.EXCEPTION, "", "TimeoutError")


@pytest.mark.parametrize("first", Interruption)
async def test_the_first_reason_disarms_the_others(
    first: Interruption, scheduler: BackgroundTaskScheduler
) -> None:
    """An attempt gets one `CancelledError`: nothing breaks into its clean-up."""
    caught = []

    async def clean_up() -> str:
        for _ in range(2):
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError as error:
                caught.append(error)
        return "clean"

    started = await interrupted(scheduler, clean_up, first, timeout=50)
    for reason in Interruption:
        assert not started.attempt.interrupt(reason)
        await asyncio.sleep(20)
    outcome = await started.outcome()
    assert len(caught) == 1
    assert started.attempt.interruption is first
    assert outcome.returned == b'"clean"'
    assert (outcome.step is Step.CANCEL) == (first is CANCEL)


async def test_a_timeout_disarms_a_cancel(scheduler: BackgroundTaskScheduler) -> None:
    """A cancel that comes while the coroutine cleans up after its timeout changes nothing here."""
    started = Started(scheduler, raise_an_error, timeout=60)
    await asyncio.sleep(60)
    assert started.attempt.interruption is TIMEOUT
    assert not started.attempt.interrupt(CANCEL)
    outcome = await started.outcome()
    assert outcome.step is Step.FAIL
    assert outcome.error is not None
    assert outcome.error.type is ErrorType.TIMEOUT
    assert outcome.raised == RAISED


@pytest.mark.parametrize(
    ("reason", "step"), [(CANCEL, Step.CANCEL), (TIMEOUT, Step.RETRY), (SHUTDOWN, Step.RETRY)]
)
async def test_interrupted_before_its_first_step_it_never_runs(
    reason: Interruption,
    step: Step,
    scheduler: BackgroundTaskScheduler,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The outcome is there at once, with neither a result nor anything raised or logged."""
    ran = []

    async def work() -> int:
        ran.append(True)
        return 1

    started = Started(scheduler, work, RETRIES, timeout=60)
    assert started.attempt.interrupt(reason)
    [outcome] = started.outcomes
    assert (outcome.step, outcome.returned, outcome.raised) == (step, None, None)
    await asyncio.sleep(120)
    assert await started.outcome() is outcome
    assert ran == []
    assert caplog.records == []


async def test_an_ended_attempt_cannot_beinterrupted(scheduler: BackgroundTaskScheduler) -> None:
    """The reason stays None, for nothing was interrupted."""

    async def work() -> int:
        return 1

    started = Started(scheduler, work)
    outcome = await started.outcome()
    assert not started.attempt.interrupt(CANCEL)
    assert started.attempt.interruption is None
    assert started.outcomes == [outcome]


async def test_what_never_began_cannot_beinterrupted(scheduler: BackgroundTaskScheduler) -> None:
    """An attempt whose params did not fit has no coroutine."""
    started = Started(scheduler, return_a_value, params=b'{"more":1}')
    assert not started.attempt.interrupt(CANCEL)
    assert (await started.outcome()).step is Step.FAIL


@pytest.mark.parametrize("begun", [False, True], ids=["before its first step", "while it runs"])
async def test_the_close_of_the_scheduler_is_a_shutdown(begun: bool) -> None:
    """What the scheduler cancels by itself is neither completed nor cancelled."""
    async with BackgroundTaskScheduler(grace=0) as scheduler:
        started = Started(scheduler, return_none, RETRIES)
        if begun:
            await turns()
    outcome = await started.outcome()
    assert started.attempt.interruption is SHUTDOWN
    assert outcome.step is Step.RETRY
    assert outcome.error is not None
    assert outcome.error.type is ErrorType.INTERRUPTED


@pytest.mark.parametrize(
    ("reason", "step"), [(CANCEL, Step.CANCEL), (TIMEOUT, Step.FAIL), (None, Step.COMPLETE)]
)
async def test_in_the_turn_in_which_it_ends_our_own_flag_decides(
    reason: Interruption | None, step: Step, scheduler: BackgroundTaskScheduler
) -> None:
    """Interrupted from within its last step, it returns unhindered, and is what the flag says."""
    interrupts: list[Callable[[], object]] = []

    async def work() -> int:
        for interrupt in interrupts:
            interrupt()
        return 1

    started = Started(scheduler, work, timeout=60)
    if reason is not None:
        interrupts.append(lambda: started.attempt.interrupt(reason))
    outcome = await started.outcome()
    assert (outcome.step, outcome.returned) == (step, b"1")
