import asyncio
import logging

import pytest

from app.scheduler import BackgroundTask, BackgroundTaskScheduler, SchedulerClosed, Status
from tests.scheduler.coroutines import (
    ignore_cancel_for,
    raise_when_cancelled,
    return_it,
    return_when_cancelled,
    sleep_then_return,
    turns,
    wait_for_ever,
)
from tests.support.virtual import now, run_virtual


async def test_leaving_waits_for_tasks_to_finish() -> None:
    """Leaving returns as soon as the last task has finished, pending ones included."""
    async with BackgroundTaskScheduler(max_running=1, grace=8) as scheduler:
        tasks = [scheduler.create_task(sleep_then_return, 2, n) for n in range(3)]
    assert [task.get_result() for task in tasks] == [0, 1, 2]
    assert now() == 6


async def test_leaving_an_idle_scheduler_takes_no_time() -> None:
    """Leaving without unfinished tasks returns at once."""
    async with BackgroundTaskScheduler() as scheduler:
        await scheduler.create_task(return_it, 1)
    assert now() == 0


async def test_leaving_cancels_after_the_grace(caplog: pytest.LogCaptureFixture) -> None:
    """What has not finished within the grace is cancelled, running or pending, and cleans up."""
    async with BackgroundTaskScheduler(max_running=1, grace=8, cancel_grace=1) as scheduler:
        running = scheduler.create_task(return_when_cancelled, "partial")
        pending = scheduler.create_task(return_it, "value")
    assert (running.status(), running.get_result()) == (Status.CANCELLED, "partial")
    assert (pending.status(), pending.get_result()) == (Status.CANCELLED, None)
    assert now() == 8
    assert not caplog.records


async def test_leaving_names_what_outlasts_its_cancel(caplog: pytest.LogCaptureFixture) -> None:
    """What still runs after the second grace is left running and named in a warning."""
    async with BackgroundTaskScheduler(grace=8, cancel_grace=1) as scheduler:
        stubborn = scheduler.create_task(ignore_cancel_for, 5, "at last", name="stubborn")
        scheduler.create_task(ignore_cancel_for, 4, None, name="another")
        scheduler.create_task(ignore_cancel_for, 0.5, None, name="quick enough")
    assert now() == 9
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == "still running after their cancel: another, stubborn"
    assert stubborn.status() is Status.RUNNING
    assert await stubborn == "at last"


async def test_leaving_without_any_grace_cancels_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without graces, tasks are cancelled, and those that end at once are not named."""
    async with BackgroundTaskScheduler(grace=0, cancel_grace=0) as scheduler:
        obeys = scheduler.create_task(wait_for_ever)
        scheduler.create_task(ignore_cancel_for, 5, None, name="stubborn")
        await turns()
    assert obeys.status() is Status.CANCELLED
    assert now() == 0
    assert [record.message for record in caplog.records] == [
        "still running after their cancel: stubborn"
    ]


async def test_closing_refuses_new_tasks_while_others_finish() -> None:
    """From the beginning of the close on, `create_task` raises `SchedulerClosed`."""
    refused = []

    async def create_later(scheduler: BackgroundTaskScheduler) -> None:
        await asyncio.sleep(2)
        try:
            scheduler.create_task(wait_for_ever)
        except SchedulerClosed as error:
            refused.append(error)

    async with BackgroundTaskScheduler() as scheduler:
        scheduler.create_task(create_later, scheduler)
    assert len(refused) == 1
    assert now() == 2


async def test_an_exception_of_the_body_goes_through() -> None:
    """Leaving by an exception ends the tasks as well, and the exception goes on."""
    scheduler = BackgroundTaskScheduler()
    task = scheduler.create_task(sleep_then_return, 5, "value")

    async def leave() -> None:
        async with scheduler:
            raise ValueError("of the body")

    with pytest.raises(ValueError, match="of the body"):
        await leave()
    assert task.get_result() == "value"


async def test_closing_twice_is_allowed() -> None:
    """A second close waits for the same end, at the same time or afterwards."""
    scheduler = BackgroundTaskScheduler(grace=8)
    task = scheduler.create_task(sleep_then_return, 5, "value")
    await asyncio.gather(scheduler.close(), scheduler.close(), scheduler.close())
    assert (task.get_result(), now()) == ("value", 5)
    await scheduler.close()
    assert now() == 5


async def test_a_close_that_is_cancelled_cancels_the_tasks() -> None:
    """Cancelling a close ends its grace; the tasks are cancelled and waited for shortly."""
    scheduler = BackgroundTaskScheduler(grace=8, cancel_grace=1)
    task = scheduler.create_task(ignore_cancel_for, 0.5, "partial")
    closing = asyncio.create_task(scheduler.close())
    await asyncio.sleep(3)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert (task.status(), task.get_result()) == (Status.CANCELLED, "partial")
    assert now() == 3.5


async def test_a_close_that_is_cancelled_twice_waits_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Cancelling a close again ends the second grace too, and names what still runs."""
    scheduler = BackgroundTaskScheduler(grace=8, cancel_grace=1)
    task = scheduler.create_task(ignore_cancel_for, 5, None, name="stubborn")
    closing = asyncio.create_task(scheduler.close())
    await asyncio.sleep(3)
    closing.cancel()
    await turns()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert now() == 3
    assert caplog.messages == ["still running after their cancel: stubborn"]
    await task


async def test_a_task_may_close_its_scheduler() -> None:
    """A task that closes its own scheduler is cancelled by it after the grace, like the others."""
    scheduler = BackgroundTaskScheduler(grace=8, cancel_grace=1)
    closing = scheduler.create_task(scheduler.close)
    other = scheduler.create_task(wait_for_ever)
    await asyncio.sleep(10)
    assert (closing.status(), other.status()) == (Status.CANCELLED, Status.CANCELLED)


async def test_a_clean_up_that_raises_does_not_disturb_the_close(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A task whose clean-up raises `SystemExit` ends cancelled, and the close goes on."""
    async with BackgroundTaskScheduler(grace=1) as scheduler:
        task = scheduler.create_task(raise_when_cancelled, SystemExit(3))
    assert task.status() is Status.CANCELLED
    assert not caplog.records


def test_a_cancelled_program_ends_its_tasks() -> None:
    """When the main coroutine is cancelled, as by Ctrl-C, its tasks have their graces and end."""
    tasks: list[BackgroundTask[str]] = []

    async def program() -> None:
        async with BackgroundTaskScheduler(max_running=1, grace=8) as scheduler:
            tasks.append(scheduler.create_task(return_when_cancelled, "partial"))
            tasks.append(scheduler.create_task(return_it, "never begun"))
            await wait_for_ever()

    async def interrupt() -> float:
        running = asyncio.create_task(program())
        await asyncio.sleep(1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return now()

    assert run_virtual(interrupt) == 9
    assert [task.status() for task in tasks] == [Status.CANCELLED] * 2


def test_a_loop_that_ends_under_running_tasks_fails_them() -> None:
    """Tasks of a scheduler that was never closed fail with the loop's own `CancelledError`."""
    ended = []

    async def hold_on() -> None:
        try:
            await wait_for_ever()
        finally:
            ended.append(True)

    async def program() -> BackgroundTask[None]:
        task = BackgroundTaskScheduler().create_task(hold_on)
        await turns()
        return task

    task = run_virtual(program)
    assert (task.status(), ended) == (Status.FAILED, [True])
    assert isinstance(task.exception(), asyncio.CancelledError)


def test_a_loop_that_ends_while_the_scheduler_closes() -> None:
    """A loop that cancels everything during a close leaves no task unfinished."""
    tasks: list[BackgroundTask[None]] = []

    async def program() -> None:
        scheduler = BackgroundTaskScheduler(max_running=2)
        tasks.extend(scheduler.create_task(wait_for_ever) for _ in range(6))
        closing = asyncio.create_task(scheduler.close())
        await turns()
        assert not closing.done()

    run_virtual(program)
    assert all(task.status().finished for task in tasks)
