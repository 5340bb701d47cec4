"""The steps of a task's coroutine: all in an asyncio task of its own, or the first in a shared one.

Either way nobody but asyncio.Task takes what the coroutine awaits and wakes it; it runs in the
context of its task, and whatever it raises ends the task and nothing else.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Final, Self, TypeVar, final

from app.scheduler.task import BackgroundTask

T = TypeVar("T")

_PASSED_ON: Final = object()


async def take_all(task: BackgroundTask[Any], loop: asyncio.AbstractEventLoop) -> None:
    """Take every step, in the asyncio task and in the context that this runs in."""
    coroutine = task.started(asyncio.current_task(loop))
    if coroutine is None:
        return
    try:
        value = await coroutine
    except BaseException as error:
        task.raised(error, None)
    else:
        task.returned(value, None)


def take_first(
    task: BackgroundTask[Any], runner: asyncio.Task[Any], context: Context
) -> "Suspended | None":
    """Take the first step, in `runner` and in `context`; None if it was the last."""
    coroutine = task.started(runner)
    if coroutine is None:
        return None
    try:
        awaited = context.run(coroutine.send, None)
    except StopIteration as stop:
        task.returned(stop.value, context)
    except BaseException as error:
        task.raised(error, context)
    else:
        return Suspended(task, coroutine, context, awaited)
    return None


@final
class Suspended(Generator[object, None, None]):
    """What a runner awaits after the first step of a task: the further ones, in its context."""

    __slots__ = ("_awaited", "_context", "_coroutine", "task")

    def __init__(
        self,
        task: BackgroundTask[T],
        coroutine: Coroutine[Any, Any, T],
        context: Context,
        awaited: object,
    ) -> None:
        self.task: BackgroundTask[Any] = task
        self._coroutine = coroutine
        self._context = context
        self._awaited = awaited

    def __await__(self) -> Self:
        return self

    def __next__(self) -> object:
        awaited, self._awaited = self._awaited, _PASSED_ON
        if awaited is not _PASSED_ON:
            return awaited
        return self._step(self._coroutine.send, None)

    def send(self, _: None) -> object:
        """Let the coroutine go on: event loops have nothing to tell it."""
        return next(self)

    def throw(self, error: Any, *_: object) -> object:
        """Raise an exception where the coroutine awaits."""
        return self._step(self._coroutine.throw, error)

    def close(self) -> None:
        """End the coroutine where it awaits; its task ends with what the runner gets then."""
        self._context.run(self._coroutine.close)

    def _step(self, take: Callable[[Any], object], what: object) -> object:
        try:
            return self._context.run(take, what)
        except StopIteration as stop:
            self.task.returned(stop.value, self._context)
        except BaseException as error:
            self.task.raised(error, self._context)
        raise StopIteration


DRIVERS: Final = frozenset({take_all.__code__, take_first.__code__, Suspended._step.__code__})
"""What calls a task's coroutine: a stack of its own begins inside of these."""
