import asyncio
from typing import Any

import pytest

from app.scheduler import BackgroundTask, BackgroundTaskScheduler, Status
from tests.scheduler.coroutines import (
    ignore_cancel_for,
    raise_it,
    raise_when_cancelled,
    return_it,
    return_when_cancelled,
    sleep_then_return,
    turns,
    wait_for_ever,
)


@pytest.mark.parametrize("wait_for_slot", [False, True], ids=["with a slot", "without a slot"])
async def test_cancelled_before_its_first_step_it_never_runs(wait_for_slot: bool) -> None:
    """A task cancelled before its first step is cancelled at once, with None, and never runs."""
    begun = []

    async def begin() -> str:
        begun.append(True)
        return "value"

    async with BackgroundTaskScheduler(max_running=1) as scheduler:
        if wait_for_slot:
            scheduler.create_task(sleep_then_return, 1, None)
        task = scheduler.create_task(begin)
        assert task.cancel()
        assert task.status() is Status.CANCELLED
        assert task.get_result() is None
        assert task.exception() is None
        assert await task is None
        await asyncio.sleep(2)
    assert begun == []


async def test_cancelled_while_running_it_gets_one_cancelled_error(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A running task gets one `CancelledError`, and further cancels do nothing."""
    caught: list[asyncio.CancelledError] = []

    async def clean_up() -> None:
        while len(caught) < 2:
            try:
                await asyncio.sleep(5)
                return
            except asyncio.CancelledError as error:
                caught.append(error)

    task = scheduler.create_task(clean_up)
    await turns()
    assert task.cancel()
    assert not task.cancel()
    await turns()
    assert not task.cancel()
    await task
    assert len(caught) == 1
    assert task.status() is Status.CANCELLED


async def test_a_cancel_is_no_cancel_before_it_has_ended(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A task that was asked to stop is running until its clean-up has really ended."""
    task = scheduler.create_task(ignore_cancel_for, 5, "partial")
    await turns()
    asked = [task.cancel_requested]
    assert task.cancel()
    asked.append(task.cancel_requested)
    assert asked == [False, True]
    assert task.status() is Status.RUNNING
    await asyncio.sleep(4)
    assert task.status() is Status.RUNNING
    assert await task == "partial"
    assert task.status() is Status.CANCELLED


async def test_what_a_cancelled_task_returns_is_its_result(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """What a task returns after its cancel is the result of the cancelled task."""
    task = scheduler.create_task(return_when_cancelled, "partial")
    await turns()
    task.cancel()
    assert await task == "partial"
    assert (task.status(), task.exception()) == (Status.CANCELLED, None)


async def test_a_cancelled_task_that_lets_it_through_has_no_result(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A task that its `CancelledError` ends is cancelled, and awaiting it gives None."""
    task = scheduler.create_task(wait_for_ever)
    await turns()
    task.cancel()
    assert await task.wait() is None  # type: ignore[func-returns-value]
    assert (task.status(), task.exception()) == (Status.CANCELLED, None)


@pytest.mark.parametrize("error", [ValueError("clean-up"), SystemExit(3), KeyboardInterrupt()])
async def test_a_clean_up_that_raises_is_cancelled_all_the_same(
    scheduler: BackgroundTaskScheduler, error: BaseException
) -> None:
    """A task whose clean-up raises is cancelled with None, and `exception` has what it raised."""
    task = scheduler.create_task(raise_when_cancelled, error)
    await turns()
    task.cancel()
    assert await task.wait() is None  # type: ignore[func-returns-value]
    assert task.status() is Status.CANCELLED
    assert task.exception() is error


async def test_a_swallowed_cancel_goes_on_running(scheduler: BackgroundTaskScheduler) -> None:
    """A task that swallows its cancel keeps running, and keeps its slot, to its own end."""
    task = scheduler.create_task(ignore_cancel_for, 3600, "the end")
    await turns()
    task.cancel()
    await asyncio.sleep(3599)
    assert task.status() is Status.RUNNING
    assert scheduler.unfinished == {task}
    assert await task == "the end"


async def test_cancelling_a_finished_task_changes_nothing(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """`cancel` returns False for completed, failed and cancelled tasks and changes nothing."""
    completed = scheduler.create_task(return_it, "value")
    failed = scheduler.create_task(raise_it, ValueError("failed"))
    cancelled = scheduler.create_task(wait_for_ever)
    cancelled.cancel()
    await turns()
    tasks: list[BackgroundTask[Any]] = [completed, failed, cancelled]
    before = [(task.status(), task.exception(), task.cancel_requested) for task in tasks]
    assert [task.cancel() for task in tasks] == [False, False, False]
    await turns()
    assert [(task.status(), task.exception(), task.cancel_requested) for task in tasks] == before
    assert completed.get_result() == "value"


async def test_cancelled_in_the_turn_in_which_it_would_go_on(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A cancel between what a task awaits and its next step interrupts it there."""
    awaited = asyncio.get_running_loop().create_future()

    async def wait_for_it() -> None:
        await awaited

    task = scheduler.create_task(wait_for_it)
    await turns()
    awaited.set_result(None)
    assert task.cancel()
    await turns()
    assert task.status() is Status.CANCELLED


async def test_cancelled_in_the_turn_in_which_it_ends(scheduler: BackgroundTaskScheduler) -> None:
    """A cancel in the turn of the end, but after it, returns False and changes nothing."""
    answers = []
    task = scheduler.create_task(return_it, "value")
    task.add_done_callback(lambda task: answers.append(task.cancel()))
    assert await task == "value"
    assert (answers, task.status()) == ([False], Status.COMPLETED)


async def test_a_task_may_cancel_itself(scheduler: BackgroundTaskScheduler) -> None:
    """A task that cancels itself is interrupted where it next awaits."""

    async def stop() -> None:
        assert task.cancel()
        assert task.status() is Status.RUNNING
        await asyncio.sleep(5)
        raise AssertionError("it went on")

    task: BackgroundTask[None] = scheduler.create_task(stop)
    await turns()
    assert task.status() is Status.CANCELLED


async def test_a_task_that_cancels_itself_and_returns_is_cancelled(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A task that cancels itself and awaits nothing more is cancelled with its value."""

    async def stop() -> str:
        task.cancel()
        return "value"

    task: BackgroundTask[str] = scheduler.create_task(stop)
    assert await task == "value"
    assert task.status() is Status.CANCELLED


async def test_a_cancel_reaches_what_the_task_awaits(scheduler: BackgroundTaskScheduler) -> None:
    """A cancel goes on into the `asyncio.TaskGroup` that the task waits for."""
    interrupted = []

    async def child() -> None:
        try:
            await wait_for_ever()
        finally:
            interrupted.append(True)

    async def parent() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            group.create_task(child())

    task = scheduler.create_task(parent)
    await turns()
    task.cancel()
    await turns(10)
    assert (task.status(), interrupted) == (Status.CANCELLED, [True, True])


async def test_a_time_limit_inside_the_task_is_no_cancel(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """An `asyncio.timeout` of the coroutine's own fails it with `TimeoutError`, no more."""

    async def hurry() -> None:
        async with asyncio.timeout(5):
            await wait_for_ever()

    task = scheduler.create_task(hurry)
    with pytest.raises(TimeoutError):
        await task
    assert (task.status(), task.cancel_requested) == (Status.FAILED, False)


async def test_cancelling_one_who_awaits_a_task_that_is_cancelled(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A task cancelled while it waits for another one leaves that one running."""
    inner = scheduler.create_task(sleep_then_return, 5, "inner")
    outer = scheduler.create_task(inner.wait)
    await turns()
    outer.cancel()
    await turns()
    assert (outer.status(), inner.status()) == (Status.CANCELLED, Status.RUNNING)
    assert await inner == "inner"
