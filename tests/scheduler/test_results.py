import asyncio
import functools
import gc
import logging
import weakref
from typing import Any

import pytest

from app.scheduler import BackgroundTask, BackgroundTaskScheduler, Status, TaskNotFinished
from tests.scheduler.coroutines import (
    raise_it,
    return_it,
    sleep_then_return,
    turns,
    wait_for_ever,
)
from tests.support.virtual import now

YEAR = 365 * 24 * 3600.0


async def test_a_very_long_task_runs_to_its_end(scheduler: BackgroundTaskScheduler) -> None:
    """A task of a hundred years is running until it completes with its value."""
    task = scheduler.create_task(sleep_then_return, 100 * YEAR, "done")
    await asyncio.sleep(99 * YEAR)
    assert task.status() is Status.RUNNING
    assert await task == "done"
    assert now() >= 100 * YEAR


async def test_a_result_before_the_end_is_refused(scheduler: BackgroundTaskScheduler) -> None:
    """`get_result` and `exception` raise `TaskNotFinished`, which says name and status."""
    task = scheduler.create_task(wait_for_ever, name="endless")
    with pytest.raises(TaskNotFinished, match="'endless' is pending") as pending:
        task.get_result()
    assert (pending.value.name, pending.value.status) == ("endless", Status.PENDING)
    await turns()
    with pytest.raises(TaskNotFinished, match="'endless' is running"):
        task.exception()


async def test_awaiting_waits_for_the_value(scheduler: BackgroundTaskScheduler) -> None:
    """`await task` and `wait` return the value as soon as it is there, however often asked."""
    task = scheduler.create_task(sleep_then_return, 5, "value")
    assert await task == "value"
    assert now() == 5
    assert (await task, await task.wait(), task.get_result()) == ("value",) * 3
    assert task.exception() is None
    assert now() == 5


async def test_many_may_wait(scheduler: BackgroundTaskScheduler) -> None:
    """Everyone who waits for a task gets its value."""
    task = scheduler.create_task(sleep_then_return, 5, "value")
    waits = (task.wait(), task.wait(timeout=9), sleep_then_return(1, None), task.wait())
    assert await asyncio.gather(*waits) == ["value", "value", None, "value"]


async def test_tasks_may_wait_for_tasks(scheduler: BackgroundTaskScheduler) -> None:
    """A task can create another one and return its result."""

    async def outer() -> str | None:
        return await scheduler.create_task(sleep_then_return, 5, "inner")

    assert await scheduler.create_task(outer) == "inner"


async def test_running_out_of_time_leaves_the_task_alone(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """`wait` raises `TimeoutError` when its time runs out, and the task goes on to its end."""
    task = scheduler.create_task(sleep_then_return, 5, "value", name="slow")
    with pytest.raises(TimeoutError, match="'slow' is running after 2 s"):
        await task.wait(timeout=2)
    assert now() == 2
    assert (task.status(), task.cancel_requested) == (Status.RUNNING, False)
    assert await task.wait(timeout=4) == "value"


@pytest.mark.parametrize("timeout", [0, -1, 0.0])
async def test_no_time_to_wait_asks_without_waiting(
    scheduler: BackgroundTaskScheduler, timeout: float
) -> None:
    """`wait(0)` raises `TimeoutError` at once, or returns the value that is there."""
    task = scheduler.create_task(sleep_then_return, 5, "value")
    with pytest.raises(TimeoutError):
        await task.wait(timeout)
    assert now() == 0
    await task
    assert await task.wait(timeout) == "value"


async def test_waiting_for_a_pending_task_takes_its_time_too() -> None:
    """`wait` counts the time in which the task waits for a slot, and leaves it pending."""
    async with BackgroundTaskScheduler(max_running=1) as scheduler:
        scheduler.create_task(sleep_then_return, 5, None)
        task = scheduler.create_task(return_it, "value")
        with pytest.raises(TimeoutError, match="is pending after 2 s"):
            await task.wait(timeout=2)
        assert await task == "value"


@pytest.mark.parametrize("timeout", [None, 60])
async def test_cancelling_a_waiter_leaves_the_task_alone(
    scheduler: BackgroundTaskScheduler, timeout: float | None
) -> None:
    """Cancelling one who waits cancels neither the task nor the others who wait."""
    task = scheduler.create_task(sleep_then_return, 5, "value")
    waiter = asyncio.create_task(task.wait(timeout))
    other = asyncio.create_task(task.wait(timeout))
    await turns()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert (task.status(), task.cancel_requested) == (Status.RUNNING, False)
    assert await other == "value"


async def test_a_limit_around_await_leaves_the_task_alone(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """`asyncio.timeout` and `asyncio.wait_for` around a wait do not touch the task."""
    task = scheduler.create_task(sleep_then_return, 5, "value")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await task
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task.wait(), 1)
    assert await task == "value"


async def test_a_waiter_cancelled_as_the_task_ends_is_cancelled(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A cancel that reaches a waiter in the turn in which the task ends is not lost."""
    task = scheduler.create_task(sleep_then_return, 5, "value")
    waiter = asyncio.create_task(task.wait())

    def cancel_waiter(_: object) -> None:
        waiter.cancel()

    task.add_done_callback(cancel_waiter)
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert task.get_result() == "value"


async def test_a_waiter_cancelled_before_the_task_ends_is_cancelled(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A waiter and a task that are cancelled in one turn both end as cancelled."""
    task = scheduler.create_task(wait_for_ever)
    waiter = asyncio.create_task(task.wait())
    other = asyncio.create_task(task.wait())
    await turns()
    task.cancel()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await other
    assert task.status() is Status.CANCELLED


async def test_waits_that_ran_out_leave_nothing_behind(scheduler: BackgroundTaskScheduler) -> None:
    """Polling a task by waits that run out does not pile up in memory."""

    def futures() -> int:
        return sum(type(thing) is asyncio.Future for thing in gc.get_objects())

    task = scheduler.create_task(wait_for_ever)
    before = futures()
    for _ in range(100):
        with pytest.raises(TimeoutError):
            await task.wait(0)
    gc.collect()
    assert futures() - before < 10


async def test_callbacks_run_once_in_the_turn_of_the_end(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A done callback gets the finished task, once, before anyone who waits goes on."""
    seen: list[BackgroundTask[str]] = []
    task = scheduler.create_task(sleep_then_return, 5, "value")
    task.add_done_callback(seen.append)
    assert await task == "value"
    assert seen == [task]
    task.add_done_callback(seen.append)
    assert seen == [task, task]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
async def test_a_callback_that_raises_is_logged(
    error: type[BaseException],
    scheduler: BackgroundTaskScheduler,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What a done callback raises is logged and keeps nothing else from happening."""
    seen: list[BackgroundTask[str]] = []

    def fail(_: object) -> None:
        raise error("a bad callback")

    task = scheduler.create_task(return_it, "value", name="called")
    task.add_done_callback(fail)
    task.add_done_callback(seen.append)
    assert await task == "value"
    assert seen == [task]
    (record,) = caplog.records
    assert (record.levelno, record.message) == (logging.ERROR, "a callback of task 'called' raised")


class Argument:
    pass


def _look_at(*_: object) -> None:
    pass


@pytest.mark.parametrize("ending", ["completed", "failed", "cancelled", "never begun"])
async def test_a_finished_task_keeps_its_result_only(
    scheduler: BackgroundTaskScheduler, ending: str
) -> None:
    """The handle of a finished task keeps no coroutine, argument or callback alive."""

    async def work(_: Argument) -> None:
        if ending == "failed":
            raise ValueError
        if ending == "cancelled":
            await wait_for_ever()

    argument = Argument()
    alive = weakref.ref(argument)
    task = scheduler.create_task(work, argument)
    task.add_done_callback(functools.partial(_look_at, argument))
    del argument
    if ending != "never begun":
        await turns(1)
    task.cancel()
    await turns()
    assert task.status().finished
    if ending == "failed":  # the traceback has it, as tracebacks do
        del task
    gc.collect()
    assert alive() is None


async def test_a_failed_task_is_no_reference_cycle(scheduler: BackgroundTaskScheduler) -> None:
    """A failed task and its exception go when they are dropped, without the garbage collector."""
    argument = Argument()
    alive = weakref.ref(argument)

    async def fail(_: Argument) -> None:
        raise ValueError

    gc.disable()
    try:
        task: Any = scheduler.create_task(fail, argument)
        await turns()
        assert task.status() is Status.FAILED
        del task, argument
        assert alive() is None
    finally:
        gc.enable()


async def test_the_coroutine_is_there_to_be_looked_at(scheduler: BackgroundTaskScheduler) -> None:
    """`coroutine` is where an unfinished task awaits, and None from its end on."""
    task = scheduler.create_task(sleep_then_return, 5, None)
    await turns()
    coroutine = task.coroutine
    assert getattr(coroutine, "cr_await", None) is not None
    await task
    assert task.coroutine is None


async def test_the_exception_of_a_failed_task_goes_to_each_waiter(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """Everyone who waits for a task that fails gets the very same exception."""
    error = ValueError("once")
    task = scheduler.create_task(raise_it, error)
    waits = (task.wait(), task.wait(timeout=1))
    raised: list[object] = list(await asyncio.gather(*waits, return_exceptions=True))
    assert raised == [error, error]
    assert task.exception() is error
