import asyncio
import gc

import pytest

from app.scheduler import BackgroundTask, BackgroundTaskScheduler, Status
from tests.scheduler.coroutines import (
    ignore_cancel_for,
    raise_it,
    return_it,
    sleep_then_return,
    turns,
    wait_for_ever,
)


@pytest.mark.parametrize("max_running", [0, -1])
def test_a_limit_is_at_least_one(max_running: int) -> None:
    """A limit of nothing raises `ValueError`."""
    with pytest.raises(ValueError, match="max_running is at least 1"):
        BackgroundTaskScheduler(max_running=max_running)


async def test_no_more_than_max_running_run_at_once() -> None:
    """Tasks above `max_running` wait as pending until one that runs has ended."""
    running = 0
    most = 0

    async def count() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    async with BackgroundTaskScheduler(max_running=3) as scheduler:
        tasks = [scheduler.create_task(count) for _ in range(10)]
        await turns()
        assert [task.status() for task in tasks] == [Status.RUNNING] * 3 + [Status.PENDING] * 7
        for task in tasks:
            await task
    assert most == 3
    assert asyncio.get_running_loop().time() == 4


async def test_higher_priorities_first_then_in_order() -> None:
    """Waiting tasks start by priority, those of one priority in the order of their creation."""
    order: list[str] = []

    async def note(name: str) -> None:
        order.append(name)

    async with BackgroundTaskScheduler(max_running=1) as scheduler:
        scheduler.create_task(sleep_then_return, 1, None)
        for name, priority in [("a", 0), ("b", -5), ("c", 9), ("d", 0), ("e", 9), ("f", 1)]:
            scheduler.create_task(note, name, priority=priority)
        scheduler.create_task(note, "late", priority=10)
    assert order == ["late", "c", "e", "f", "a", "d", "b"]


async def test_without_a_limit_all_start_in_order() -> None:
    """Without `max_running` tasks start in the order of their creation, whatever the priority."""
    order: list[int] = []

    async def note(number: int) -> None:
        order.append(number)

    async with BackgroundTaskScheduler() as scheduler:
        for number in range(5):
            scheduler.create_task(note, number, priority=number)
    assert order == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("error", [ValueError(), SystemExit(), asyncio.CancelledError()])
async def test_a_failed_task_gives_back_its_slot(error: BaseException) -> None:
    """The next task starts when one has failed, whatever it raised."""
    async with BackgroundTaskScheduler(max_running=1) as scheduler:
        scheduler.create_task(raise_it, error)
        assert await scheduler.create_task(return_it, "next").wait(timeout=1) == "next"


async def test_a_cancelled_task_gives_back_its_slot_once_it_has_ended() -> None:
    """A task that swallows its cancel keeps its slot until it ends."""
    async with BackgroundTaskScheduler(max_running=1) as scheduler:
        first = scheduler.create_task(ignore_cancel_for, 5, None)
        second = scheduler.create_task(return_it, "next")
        await turns()
        first.cancel()
        await asyncio.sleep(4)
        assert second.status() is Status.PENDING
        assert await second == "next"


async def test_a_task_cancelled_before_its_first_step_gives_back_its_slot() -> None:
    """A slot taken by a task that never runs is free at once, and only once."""
    async with BackgroundTaskScheduler(max_running=1, grace=0) as scheduler:
        tasks: list[BackgroundTask[None]] = []
        for _ in range(3):
            tasks.append(scheduler.create_task(wait_for_ever))
        tasks[0].cancel()
        await turns()
        expected = [Status.CANCELLED, Status.RUNNING, Status.PENDING]
        assert [task.status() for task in tasks] == expected


@pytest.mark.parametrize("cancelled", [0, 1, 30, 52, 97])
async def test_tasks_cancelled_while_they_wait_are_skipped(cancelled: int) -> None:
    """A slot goes to the next task that still waits, past those that were cancelled."""
    started = []

    async def note(number: int, priority: int) -> None:
        started.append((-priority, number))

    async with BackgroundTaskScheduler(max_running=1) as scheduler:
        scheduler.create_task(sleep_then_return, 1, None)
        waiting = [(number, number * 37 % 11) for number in range(100)]
        tasks = [scheduler.create_task(note, n, p, priority=p) for n, p in waiting]
        for task in tasks[:cancelled]:
            task.cancel()
    assert started == sorted((-priority, number) for number, priority in waiting[cancelled:])


async def test_tasks_cancelled_while_they_wait_take_no_room() -> None:
    """Tasks that come and are cancelled under a full limit do not pile up in memory."""

    def in_memory() -> int:
        return sum(type(thing) is BackgroundTask for thing in gc.get_objects())

    async with BackgroundTaskScheduler(max_running=1, grace=0) as scheduler:
        scheduler.create_task(wait_for_ever)
        last = scheduler.create_task(wait_for_ever, priority=-1)
        before = in_memory()
        for priority in range(1000):
            scheduler.create_task(wait_for_ever, priority=priority % 7).cancel()
        assert in_memory() - before < 10
        assert last.status() is Status.PENDING
