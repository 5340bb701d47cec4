import asyncio
import dataclasses
import sys
import traceback
from typing import NoReturn

import pytest

from app.scheduler import BackgroundTaskScheduler, Status
from tests.scheduler.coroutines import raise_it, sleep_then_return, turns


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int = 3


class Own(BaseException):
    pass


class Classless(Exception):
    __class__ = property(lambda _: sys.exit())


class Traceless(Exception):
    __traceback__ = property(lambda _: sys.exit())

    def with_traceback(self, _: object) -> NoReturn:
        sys.exit()


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(3),
        GeneratorExit(),
        asyncio.CancelledError(),
        Own(),
        NoText(),
        Frozen(),
        TimeoutError(),
        StopAsyncIteration(),
        ExceptionGroup("several", [ValueError()]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_it_raises_fails_its_own_task_only(
    scheduler: BackgroundTaskScheduler, error: BaseException
) -> None:
    """Any exception fails the task that raises it, is raised by it, and touches nothing else."""
    neighbour = scheduler.create_task(sleep_then_return, 5, "value")
    task = scheduler.create_task(raise_it, error)
    await asyncio.sleep(1)
    assert task.status() is Status.FAILED
    assert task.exception() is error
    with pytest.raises(type(error)) as raised:
        task.get_result()
    assert raised.value is error
    assert await neighbour == "value"
    assert await scheduler.create_task(sleep_then_return, 1, "new") == "new"


async def test_a_stop_iteration_fails_as_python_has_it(scheduler: BackgroundTaskScheduler) -> None:
    """A coroutine that raises `StopIteration` fails with Python's `RuntimeError` about it."""
    task = scheduler.create_task(raise_it, StopIteration(1))
    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        await task


async def test_a_cancelled_error_that_nobody_asked_for_is_a_failure(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A coroutine that raises `CancelledError` of its own accord failed, and awaiting raises it."""
    error = asyncio.CancelledError("of its own accord")
    task = scheduler.create_task(raise_it, error)
    with pytest.raises(asyncio.CancelledError, match="of its own accord") as raised:
        await task
    assert raised.value is error
    assert (task.status(), task.cancel_requested) == (Status.FAILED, False)


async def test_awaiting_something_that_was_cancelled_is_a_failure(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """A coroutine that awaits a cancelled future failed: the task itself was not cancelled."""
    future = asyncio.get_running_loop().create_future()

    async def wait_for_it() -> None:
        await future

    task = scheduler.create_task(wait_for_it)
    await turns()
    future.cancel()
    await turns()
    assert task.status() is Status.FAILED
    assert isinstance(task.exception(), asyncio.CancelledError)


async def test_the_traceback_does_not_grow(scheduler: BackgroundTaskScheduler) -> None:
    """However often an exception is raised again, its traceback is from here to its origin."""
    task = scheduler.create_task(raise_it, ValueError("again"))
    await turns()
    lengths = set()
    for _ in range(5):
        with pytest.raises(ValueError, match="again") as raised:
            task.get_result()
        frames = traceback.extract_tb(raised.value.__traceback__)
        lengths.add(len(frames))
        assert frames[-1].name == "raise_it"
    assert len(lengths) == 1


async def test_the_traceback_shows_the_coroutine_and_not_the_scheduler(
    scheduler: BackgroundTaskScheduler,
) -> None:
    """`exception().__traceback__` begins in the coroutine."""
    task = scheduler.create_task(raise_it, ValueError("here"))
    await turns()
    error = task.exception()
    assert error is not None
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)] == ["raise_it"]


async def test_a_failure_handed_on_keeps_its_origin(scheduler: BackgroundTaskScheduler) -> None:
    """A task that fails with another's exception has the way from its own code to the origin."""
    inner = scheduler.create_task(raise_it, ValueError("inner"))

    async def hand_on() -> None:
        await inner

    outer = scheduler.create_task(hand_on)
    await turns()
    error = outer.exception()
    assert error is not None
    assert error is inner.exception()
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert (names[0], names[-1]) == ("hand_on", "raise_it")


@pytest.mark.parametrize("kind", ["Classless", "Traceless"])
async def test_an_exception_that_hides_itself_fails_its_own_task_only(
    kind: str, scheduler: BackgroundTaskScheduler
) -> None:
    """Nothing is asked of its attributes, which may raise anything."""
    error: Exception = {"Classless": Classless, "Traceless": Traceless}[kind]()
    task = scheduler.create_task(raise_it, error)
    await turns()
    assert task.status() is Status.FAILED
    assert task.exception() is error
    try:
        task.get_result()
    except BaseException:
        raised = sys.exc_info()[1]
    assert raised is error


async def test_a_clean_up_may_raise_what_hides_itself(scheduler: BackgroundTaskScheduler) -> None:
    """The task is cancelled all the same, and has what was raised."""
    error = Classless()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise error

    task = scheduler.create_task(work)
    await turns()
    task.cancel()
    await turns()
    assert task.status() is Status.CANCELLED
    assert task.exception() is error
