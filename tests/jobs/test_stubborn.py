import asyncio
import logging

import pytest

from app.jobs.runner import STUBBORN_AFTER, Interruption
from app.scheduler import BackgroundTaskScheduler, Step
from tests.jobs.attempts import interrupted
from tests.jobs.endings import raise_an_error, return_none, wait_for_ever


@pytest.mark.parametrize("reason", Interruption)
async def test_a_coroutine_that_goes_on_runs_until_it_ends(
    reason: Interruption,
    scheduler: BackgroundTaskScheduler,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One that swallows its interruption has no outcome yet; once, a warning names it."""
    go_on = asyncio.Event()

    async def stubborn() -> int:
        await return_none()
        await go_on.wait()
        return 7

    started = await interrupted(scheduler, stubborn, reason, timeout=3600)
    await asyncio.sleep(STUBBORN_AFTER - 1)
    assert caplog.records == []
    await asyncio.sleep(7200)
    assert started.outcomes == []
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert str(started.job.id) in record.message
    assert f"still runs 10 s after its {reason.value}" in record.message
    go_on.set()
    outcome = await started.outcome()
    assert outcome.returned == b"7"
    assert outcome.step is (Step.CANCEL if reason is Interruption.CANCEL else Step.RETRY)


@pytest.mark.parametrize("reason", Interruption)
async def test_a_coroutine_that_cleans_up_in_time_is_not_warned_of(
    reason: Interruption,
    scheduler: BackgroundTaskScheduler,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Cleaning up for some seconds is what an interruption is for."""

    async def clean_up() -> None:
        await return_none()
        await asyncio.sleep(STUBBORN_AFTER - 1)

    await (await interrupted(scheduler, clean_up, reason, timeout=60)).outcome()
    await asyncio.sleep(120)
    assert caplog.records == []


@pytest.mark.parametrize("reason", Interruption)
async def test_what_its_clean_up_raises_stands_in_the_log(
    reason: Interruption,
    scheduler: BackgroundTaskScheduler,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A traceback is for the operator; being told to stop is nothing to log."""
    await (await interrupted(scheduler, wait_for_ever, reason, timeout=60)).outcome()
    assert caplog.records == []
    await (await interrupted(scheduler, raise_an_error, reason, timeout=60)).outcome()
    [record] = caplog.records
    assert "Traceback" in record.message
    assert record.message.endswith("ConnectionError: no connection")
