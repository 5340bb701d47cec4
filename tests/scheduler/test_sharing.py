"""Tasks that share an asyncio task know nothing of each other, and wait for nobody."""

import asyncio
import gc
import traceback
import weakref
from contextvars import ContextVar
from typing import Any

import pytest

from app.scheduler import BackgroundTask, BackgroundTaskScheduler, Status
from app.scheduler.origin import name_behind
from tests.scheduler.coroutines import raise_it, return_it, turns, wait_for_ever

seen: ContextVar[str] = ContextVar("seen", default="nothing")


@pytest.mark.parametrize("limit", [None, 1])
async def test_contexts_are_not_shared(limit: int | None) -> None:
    """A task finds nothing of what others set, whether they ended at once or suspended."""

    async def change(suspend: bool) -> tuple[str, str]:
        before = seen.get()
        seen.set("changed")
        if suspend:
            await asyncio.sleep(0)
        return before, seen.get()

    async with BackgroundTaskScheduler(max_running=limit) as scheduler:
        tasks = [scheduler.create_task(change, number % 3 == 2) for number in range(12)]
        assert [await task for task in tasks] == [("nothing", "changed")] * 12


async def test_a_callback_runs_in_the_context_of_its_task(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A done callback finds what its coroutine set, and what it sets reaches no other task."""
    found = []

    async def change(value: str, suspend: bool) -> None:
        seen.set(value)
        if suspend:
            await asyncio.sleep(0)

    def look(_: object) -> None:
        found.append(seen.get())
        seen.set("by a callback")

    for number, suspend in enumerate([False, True, False, True]):
        task = scheduler.create_task(change, str(number), suspend)
        task.add_done_callback(look)
        await turns()
    assert found == ["0", "1", "2", "3"]


async def test_each_has_its_own_name(scheduler: BackgroundTaskScheduler) -> None:
    """The asyncio task has the name of the task it runs, and subtasks tell whose they are."""

    async def names(suspend: bool) -> list[str | None]:
        child = asyncio.create_task(_name())
        own = [_named(), await _name()]
        if suspend:
            await asyncio.sleep(0)
            own.append(_named())
        return [*own, await child]

    async def at_once() -> str | None:
        return _named()

    async def _name() -> str | None:
        task = asyncio.current_task()
        assert task is not None
        return name_behind(task)

    def _named() -> str | None:
        task = asyncio.current_task()
        assert task is not None
        return task.get_name()

    quick = [scheduler.create_task(at_once, name=f"quick {number}") for number in range(3)]
    slow = [scheduler.create_task(names, True, name=f"slow {number}") for number in range(3)]
    late = [scheduler.create_task(at_once, name=f"late {number}") for number in range(3)]
    assert [await task for task in quick] == ["quick 0", "quick 1", "quick 2"]
    assert [await task for task in slow] == [[f"slow {number}"] * 4 for number in range(3)]
    assert [await task for task in late] == ["late 0", "late 1", "late 2"]


@pytest.mark.parametrize("uncancel", [False, True])
async def test_a_cancel_left_behind_reaches_nobody(
    scheduler: BackgroundTaskScheduler, uncancel: bool
) -> None:
    """What a coroutine leaves to be raised in its asyncio task is not raised in the next one."""

    async def leave_a_cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if uncancel:
            task.uncancel()

    async def count() -> int:
        task = asyncio.current_task()
        assert task is not None
        counted = task.cancelling()
        await asyncio.sleep(0)
        return counted

    left = scheduler.create_task(leave_a_cancel)
    others = [scheduler.create_task(count) for _ in range(3)]
    assert await left is None  # type: ignore[func-returns-value]
    assert [await task for task in others] == [0, 0, 0]
    assert [task.status() for task in others] == [Status.COMPLETED] * 3


async def test_a_task_that_cancels_itself_leaves_the_next_one_alone(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A task cancelled by itself at its only step is cancelled, and none after it."""

    async def stop() -> str:
        task.cancel()
        return "value"

    task: BackgroundTask[str] = scheduler.create_task(stop)
    others = [scheduler.create_task(return_it, number) for number in range(3)]
    assert await task == "value"
    assert [await other for other in others] == [0, 1, 2]
    assert task.status() is Status.CANCELLED


async def test_a_late_cancel_of_an_asyncio_task_reaches_nobody(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """An asyncio task that a suspended coroutine had runs no other after it."""

    async def tell() -> asyncio.Task[Any] | None:
        await asyncio.sleep(0)
        return asyncio.current_task()

    async with BackgroundTaskScheduler(max_running=1) as limited:
        told = [limited.create_task(tell) for _ in range(3)]
        assert len({id(await task) for task in told}) == len(told)
        assert all(task.get_result() not in asyncio.all_tasks() for task in told)


async def test_a_cancelled_runner_is_replaced(scheduler: BackgroundTaskScheduler) -> None:
    """Whoever cancels every asyncio task before their first steps loses none of the ready ones."""
    before = asyncio.all_tasks()
    tasks = [scheduler.create_task(return_it, number) for number in range(3)]
    for task in asyncio.all_tasks() - before:
        task.cancel()
    assert [await task for task in tasks] == [0, 1, 2]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_failures_are_not_shared(
    scheduler: BackgroundTaskScheduler, error: type[BaseException]
) -> None:
    """Whatever a coroutine or a callback raises, the tasks beside it have their values."""

    def fail(_: object) -> None:
        raise error

    first = scheduler.create_task(return_it, 1)
    first.add_done_callback(fail)
    second = scheduler.create_task(raise_it, error())
    third = scheduler.create_task(return_it, 3)
    await turns()
    assert (first.get_result(), third.get_result()) == (1, 3)
    assert isinstance(second.exception(), error)


async def test_one_that_suspends_holds_up_nobody(scheduler: BackgroundTaskScheduler) -> None:
    """Tasks that are ready begin within two turns, whatever the others wait for."""
    begun = []

    async def begin(number: int) -> None:
        begun.append(number)
        if number % 2 == 0:
            await wait_for_ever()

    for number in range(1000):
        scheduler.create_task(begin, number)
    await turns(2)
    assert begun == list(range(1000))


@pytest.mark.parametrize("limit", [None, 100])
async def test_the_event_loop_turns_meanwhile(limit: int | None) -> None:
    """Ten thousand tasks that end at once leave the loop its turns."""
    count = 0

    async def work() -> None:
        nonlocal count
        count += 1

    async with BackgroundTaskScheduler(max_running=limit) as scheduler:
        for _ in range(10_000):
            scheduler.create_task(work)
        seen_at = []
        while scheduler.unfinished:
            await asyncio.sleep(0)
            seen_at.append(count)
    steps = [after - before for before, after in zip([0, *seen_at], seen_at, strict=False)]
    assert max(steps) <= 100
    assert count == 10_000


async def test_tasks_that_make_each_other_leave_the_loop_its_turns(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A task that is made by another's only step begins in a later turn."""
    made = 0

    async def make() -> None:
        nonlocal made
        made += 1
        if made < 50:
            scheduler.create_task(make)

    scheduler.create_task(make)
    await turns(10)
    assert 5 <= made <= 15
    await turns(50)
    assert made == 50


async def test_leaving_with_tasks_that_are_ready() -> None:
    """A scheduler without grace that is left before the first steps cancels them all."""
    begun = []

    async def begin() -> None:
        begun.append(True)
        await wait_for_ever()

    async with BackgroundTaskScheduler(grace=0) as scheduler:
        tasks = [scheduler.create_task(begin) for _ in range(10)]
        for task in tasks:
            task.cancel()
    assert {task.status() for task in tasks} == {Status.CANCELLED}
    assert not begun


async def test_cancelled_between_the_turns(scheduler: BackgroundTaskScheduler) -> None:
    """A task that is ready, given an asyncio task of its own or not, can still be cancelled."""
    begun = []

    async def begin(number: int) -> None:
        begun.append(number)
        if number == 0:
            tasks[1].cancel()  # while it shares one
            asyncio.get_running_loop().call_soon(tasks[2].cancel)  # ahead of its own one's turn
        await asyncio.sleep(0)

    tasks: list[BackgroundTask[None]] = []
    tasks += [scheduler.create_task(begin, number) for number in range(4)]
    await turns()
    assert begun == [0, 3]
    assert [task.status() for task in tasks[1:3]] == [Status.CANCELLED] * 2


async def test_a_generator_exit_from_what_it_awaits(scheduler: BackgroundTaskScheduler) -> None:
    """A coroutine closed by the `GeneratorExit` of a future cleans up and has failed with it."""
    future = asyncio.get_running_loop().create_future()
    ended = []

    async def wait_for_it() -> None:
        seen.set("its own")
        try:
            await future
        finally:
            ended.append(seen.get())

    task = scheduler.create_task(wait_for_it)
    await turns()
    future.set_exception(GeneratorExit())
    await turns()
    assert ended == ["its own"]
    assert isinstance(task.exception(), GeneratorExit)
    assert task.status() is Status.FAILED


class Argument:
    pass


@pytest.mark.parametrize("position", [0, 1], ids=["shares", "has its own"])
async def test_a_failure_after_an_await_is_clean(
    scheduler: BackgroundTaskScheduler, position: int
) -> None:
    """Its traceback begins in the coroutine and goes on where its exception is from."""
    future = asyncio.get_running_loop().create_future()

    async def wait_for_it() -> None:
        await future

    tasks = [scheduler.create_task(wait_for_it) for _ in range(position + 1)]
    await turns()
    future.set_exception(ValueError("inner"))
    await turns()
    error = tasks[position].exception()
    assert error is not None
    assert error.__context__ is None
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert set(names) == {"wait_for_it"}


@pytest.mark.parametrize("position", [0, 1], ids=["shares", "has its own"])
async def test_a_failure_after_an_await_is_no_reference_cycle(
    scheduler: BackgroundTaskScheduler, position: int
) -> None:
    """A failed task and its exception go when they are dropped, without the garbage collector."""

    async def fail(_: Argument) -> None:
        await asyncio.sleep(0)
        raise ValueError

    argument = Argument()
    alive = weakref.ref(argument)
    gc.disable()
    try:
        before = [scheduler.create_task(wait_for_ever) for _ in range(position)]
        task: Any = scheduler.create_task(fail, argument)
        await turns()
        assert task.status() is Status.FAILED
        del task, argument
        assert alive() is None
        assert len(before) == position
    finally:
        gc.enable()


async def test_time_limits_and_groups_work_where_they_are(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """`asyncio.timeout`, `wait_for`, `shield` and groups work in shared and in own ones."""

    async def work() -> list[str]:
        done = []
        try:
            async with asyncio.timeout(1):
                await wait_for_ever()
        except TimeoutError:
            done.append("timeout")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.sleep(2)), 1)
        async with asyncio.TaskGroup() as group:
            child = group.create_task(return_it("child"))
        task = asyncio.current_task()
        assert task is not None
        return [*done, child.result(), str(task.cancelling())]

    tasks = [scheduler.create_task(work) for _ in range(3)]
    assert [await task for task in tasks] == [["timeout", "child", "0"]] * 3


@pytest.mark.parametrize("position", [0, 1], ids=["shares", "has its own"])
async def test_a_finished_task_keeps_no_asyncio_task(
    scheduler: BackgroundTaskScheduler, position: int
) -> None:
    """The asyncio task of a coroutine goes when that has ended, not when its handle does."""
    ran_in = []

    async def work() -> None:
        ran_in.append(weakref.ref(asyncio.current_task()))
        await asyncio.sleep(0)

    tasks = [scheduler.create_task(work) for _ in range(2)]
    await turns()
    gc.collect()
    assert tasks[position].status() is Status.COMPLETED
    assert ran_in[position]() is None


async def test_an_asyncio_task_for_each() -> None:
    """With `shares=False` a cancel that a task leaves behind for its asyncio task hits nobody."""
    loop = asyncio.get_running_loop()
    seen_tasks: list[asyncio.Task[Any] | None] = []

    async def leave_a_cancel() -> None:
        current = asyncio.current_task()
        assert current is not None
        seen_tasks.append(current)
        loop.call_soon(current.cancel)

    async def wait_a_moment() -> str:
        seen_tasks.append(asyncio.current_task())
        await turns()
        return "done"

    async with BackgroundTaskScheduler(shares=False) as scheduler:
        first = scheduler.create_task(leave_a_cancel)
        second = scheduler.create_task(wait_a_moment)
        assert await second == "done"
        await first
    assert len(set(seen_tasks)) == 2
