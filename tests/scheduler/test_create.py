import asyncio
import functools
import gc
from collections.abc import AsyncIterator
from contextvars import Context, ContextVar, copy_context
from typing import Any

import pytest

from app.scheduler import BackgroundTaskScheduler, SchedulerClosed, Status
from tests.scheduler.coroutines import return_it, turns, wait_for_ever
from tests.support.virtual import VirtualClockLoop

user: ContextVar[str] = ContextVar("user", default="nobody")


class Greeter:
    async def __call__(self, name: str) -> str:
        return f"hello {name}"

    async def greet(self, name: str) -> str:
        return f"hello {name}"

    @classmethod
    async def of_class(cls, name: str) -> str:
        return f"hello {name}"

    @staticmethod
    async def of_nobody(name: str) -> str:
        return f"hello {name}"


@pytest.mark.parametrize(
    "func",
    [
        Greeter().greet,
        Greeter(),
        Greeter.of_class,
        Greeter.of_nobody,
        functools.partial(Greeter().greet),
        functools.partial(Greeter()),
        functools.partial(functools.partial(Greeter())),
    ],
    ids=["method", "callable", "classmethod", "staticmethod", "partial", "of-callable", "nested"],
)
async def test_any_coroutine_function_is_taken(
    scheduler: BackgroundTaskScheduler, func: Any
) -> None:
    """Functions, methods, callables with an async `__call__` and partials of them all run."""
    assert await scheduler.create_task(func, "you") == "hello you"


async def _generate() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    "func",
    [
        None,
        1,
        "text",
        len,
        print,
        lambda: None,
        object(),
        Greeter,
        functools.partial(print),
        _generate,
    ],
)
async def test_what_is_no_coroutine_function_is_refused_at_once(
    scheduler: BackgroundTaskScheduler, func: Any
) -> None:
    """Anything that is no coroutine function raises `TypeError` and leaves nothing behind."""
    with pytest.raises(TypeError, match="is no coroutine function: use async def"):
        scheduler.create_task(func)
    assert not scheduler.unfinished


async def test_a_called_coroutine_function_is_refused_with_a_hint(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A coroutine in the place of its function raises `TypeError` that says what to pass."""
    coroutine: Any = return_it(1)
    with pytest.raises(TypeError, match="pass the function, not its call"):
        scheduler.create_task(coroutine)
    coroutine.close()


async def test_wrong_arguments_are_refused_at_once(scheduler: BackgroundTaskScheduler) -> None:
    """Arguments that the function does not take raise `TypeError` and leave nothing behind."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        scheduler.create_task(return_it, 1, colour="red")
    assert not scheduler.unfinished


async def test_the_rest_of_the_arguments_are_the_functions(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """Positional and keyword arguments arrive, but for `priority` and `name`."""

    async def arguments(*args: int, **kwargs: int) -> tuple[Any, Any]:
        return args, kwargs

    task = scheduler.create_task(arguments, 1, 2, func=3, priority=4, name="five")
    assert await task == ((1, 2), {"func": 3})


async def test_a_priority_of_the_functions_own_goes_through_a_partial(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """`functools.partial` passes a `priority` and a `name` to a function that has its own."""

    async def own(*, priority: str, name: str) -> str:
        return f"{priority} {name}"

    own_arguments = functools.partial(own, priority="high", name="mine")
    assert await scheduler.create_task(own_arguments) == "high mine"


async def test_create_task_returns_before_the_first_step(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """`create_task` never blocks: the coroutine begins when the event loop has its turn."""
    begun = []

    async def begin() -> None:
        begun.append(True)

    task = scheduler.create_task(begin)
    assert (task.status(), begun) == (Status.PENDING, [])
    await turns(1)
    assert (task.status(), begun) == (Status.COMPLETED, [True])


async def test_an_eager_task_factory_is_not_used() -> None:
    """The first step waits for the next turn whatever task factory the loop has."""

    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("asked the loop's task factory")

    loop = asyncio.get_running_loop()
    async with BackgroundTaskScheduler() as scheduler:
        loop.set_task_factory(refuse)
        try:
            task = scheduler.create_task(return_it, 1)
        finally:
            loop.set_task_factory(None)
        assert await task == 1


async def test_a_task_that_nobody_holds_goes_on(scheduler: BackgroundTaskScheduler) -> None:
    """The scheduler holds its tasks: one that only itself refers to is not collected."""
    ended = []

    async def hold_on() -> None:
        try:
            await wait_for_ever()
        finally:
            ended.append(True)

    scheduler.create_task(hold_on)
    await turns()
    gc.collect()
    assert not ended
    assert [task.status() for task in scheduler.unfinished] == [Status.RUNNING]


async def test_a_finished_task_is_let_go(scheduler: BackgroundTaskScheduler) -> None:
    """`unfinished` holds what is pending or running, and nothing else."""
    task = scheduler.create_task(return_it, 1)
    assert scheduler.unfinished == {task}
    await task
    assert scheduler.unfinished == frozenset()


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (Greeter().greet, "greet"),
        (Greeter(), "Greeter"),
        (functools.partial(Greeter(), "you"), "Greeter"),
        (functools.partial(Greeter.of_nobody, "you"), "of_nobody"),
    ],
)
async def test_a_task_is_named_after_its_function(
    scheduler: BackgroundTaskScheduler, func: Any, name: str
) -> None:
    """A task has the name it is given, else its function's, also through a partial."""
    args = () if isinstance(func, functools.partial) else ("you",)
    assert scheduler.create_task(func, *args).name == name
    assert scheduler.create_task(func, *args, name="mine").name == "mine"


async def test_a_task_shows_itself(scheduler: BackgroundTaskScheduler) -> None:
    """The text of a task says its name and status."""
    assert repr(scheduler.create_task(wait_for_ever)) == "<BackgroundTask wait_for_ever pending>"


async def test_the_context_of_the_creator_stays_outside() -> None:
    """A task sees nothing of its creator's context, and its changes reach nobody else."""

    async def change() -> str:
        before = user.get()
        user.set("changed")
        return before

    user.set("creator")
    async with BackgroundTaskScheduler() as scheduler:
        assert await scheduler.create_task(change) == "nobody"
        assert await scheduler.create_task(change) == "nobody"
    assert user.get() == "creator"


async def test_every_task_runs_in_a_copy_of_the_given_context() -> None:
    """A scheduler's `context` is what each of its tasks finds, as it was given."""

    async def change() -> str:
        before = user.get()
        user.set("changed")
        return before

    context = copy_context()
    context.run(user.set, "configured")
    async with BackgroundTaskScheduler(max_running=1, context=context) as scheduler:
        tasks = [scheduler.create_task(change) for _ in range(3)]
        assert [await task for task in tasks] == ["configured"] * 3
    assert context[user] == "configured"


def test_outside_an_event_loop_nothing_is_made() -> None:
    """`create_task` outside a running loop raises `RuntimeError` and takes no slot."""
    scheduler = BackgroundTaskScheduler(max_running=1)
    with pytest.raises(RuntimeError, match="no running event loop"):
        scheduler.create_task(wait_for_ever)
    assert not scheduler.unfinished

    async def run_one() -> int | None:
        async with scheduler:
            return await scheduler.create_task(return_it, 1)

    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        assert runner.run(run_one(), context=Context()) == 1


def test_a_loop_that_stopped_holds_up_no_other() -> None:
    """Tasks that one event loop was stopped ahead of do not keep those of the next from running."""
    scheduler = BackgroundTaskScheduler()
    stopped = asyncio.new_event_loop()
    stopped.call_soon(lambda: scheduler.create_task(return_it, 1))
    stopped.call_soon(stopped.stop)
    stopped.run_forever()

    async def run_one() -> int | None:
        return await scheduler.create_task(return_it, 2).wait(timeout=9)

    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        assert runner.run(run_one()) == 2
    stopped.run_until_complete(asyncio.sleep(0))
    stopped.close()


async def test_a_closed_scheduler_takes_no_task(scheduler: BackgroundTaskScheduler) -> None:
    """`create_task` and entering raise `SchedulerClosed` once the scheduler is closed."""
    await scheduler.close()
    with pytest.raises(SchedulerClosed):
        scheduler.create_task(wait_for_ever)
    with pytest.raises(SchedulerClosed):
        await scheduler.__aenter__()


def test_another_thread() -> None:
    """A thread without an event loop gets `RuntimeError`, though the scheduler's own one runs."""

    async def run() -> None:
        async with BackgroundTaskScheduler() as scheduler:
            await scheduler.create_task(return_it, 1)
            with pytest.raises(RuntimeError, match="no running event loop"):
                await asyncio.to_thread(scheduler.create_task, return_it, 1)
            assert not scheduler.unfinished

    asyncio.run(run())
