"""The in-process asyncio scheduler."""

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from types import FunctionType
from typing import Any, Final, Self, TypeVar

from app.scheduler.errors import SchedulerClosed
from app.scheduler.runners import Runners
from app.scheduler.task import BackgroundTask

T = TypeVar("T")

log = logging.getLogger(__name__)

_COROUTINE: Final = inspect.CO_COROUTINE
_CLOSED: Final = "the scheduler is closed: it takes no new tasks"


class BackgroundTaskScheduler:
    """Runs coroutine functions in the background and holds them until they have finished.

    `max_running` bounds how many run at once (None: unlimited); further ones wait, higher
    `priority` first, in order of creation inside one. Every task runs in a copy of `context`, by
    default an empty one, so that nothing of its creator's context leaks into it. Tasks that end
    with their first step may have had the same asyncio task, one after the other, unless `shares`
    is False: then each has one of its own.

    Leaving `async with` refuses new tasks, lets those there are finish for `grace` seconds, then
    cancels the rest and gives their clean-up `cancel_grace` seconds; what still runs after that
    is named in a warning of the log.
    """

    def __init__(
        self,
        *,
        max_running: int | None = None,
        grace: float = 8.0,
        cancel_grace: float = 1.0,
        context: Context | None = None,
        shares: bool = True,
    ) -> None:
        if max_running is not None and max_running < 1:
            raise ValueError(f"max_running is at least 1, or None for no limit: not {max_running}")
        self._grace = grace
        self._cancel_grace = cancel_grace
        self._runners = Runners(max_running, context, shares=shares)
        self._closed = False

    async def __aenter__(self) -> Self:
        """Open for tasks; raises `SchedulerClosed` when it was closed before."""
        self._require_open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close, as the class says."""
        await self.close()

    @property
    def unfinished(self) -> frozenset[BackgroundTask[Any]]:
        """The tasks that are pending or running."""
        return frozenset(self._runners.unfinished)

    def create_task(
        self,
        func: Callable[..., Coroutine[Any, Any, T]],
        /,
        *args: Any,
        priority: int = 0,
        name: str | None = None,
        **kwargs: Any,
    ) -> BackgroundTask[T]:
        """Run `func(*args, **kwargs)` in the background; never blocks.

        Raises `TypeError` at once when `func` is no coroutine function or does not take the
        arguments, `SchedulerClosed` when the scheduler is closing or closed, and `RuntimeError`
        outside an event loop. A `func` with a `priority` or `name` of its own is passed as
        `functools.partial`.
        """
        if self._closed:
            raise SchedulerClosed(_CLOSED)
        inner = func if _is_plain(func) else _coroutine_function(func)
        loop = self._runners.loop_here()  # raises while there is nothing to take back
        name = name or getattr(inner, "__name__", None) or type(inner).__name__
        task = BackgroundTask(func(*args, **kwargs), name, self._runners)
        self._runners.add(task, priority, loop)
        return task

    async def close(self) -> None:
        """Refuse new tasks and end those there are, as leaving `async with` does."""
        self._closed = True
        try:
            await self._wait_until_idle(self._grace)
        finally:
            await self._cancel_unfinished()

    async def _wait_until_idle(self, timeout: float) -> None:
        if not self._runners.unfinished:
            return
        if self._runners.idle is None:  # else another `close` waits for it too
            self._runners.idle = asyncio.get_running_loop().create_future()
        await asyncio.wait((self._runners.idle,), timeout=timeout)

    async def _cancel_unfinished(self) -> None:
        for task in self.unfinished:
            task.cancel()
        try:
            await self._wait_until_idle(self._cancel_grace)
        finally:
            self._warn_of_running()

    def _warn_of_running(self) -> None:
        if names := sorted(task.name for task in self._runners.unfinished):
            log.warning("still running after their cancel: %s", ", ".join(names))

    def _require_open(self) -> None:
        if self._closed:
            raise SchedulerClosed(_CLOSED)


def _coroutine_function(func: object) -> object:
    """What is called in the end, when that is a coroutine function."""
    inner = func
    while isinstance(inner, functools.partial):
        inner = inner.func
    if _is_plain(inner) or inspect.iscoroutinefunction(inner):
        return inner
    if callable(inner) and inspect.iscoroutinefunction(type(inner).__call__):
        return inner
    hint = "pass the function, not its call" if inspect.iscoroutine(func) else "use async def"
    raise TypeError(f"{func!r} is no coroutine function: {hint}")


def _is_plain(func: object) -> bool:
    """Whether it is an `async def`, nothing around it; asked for every task, so cheaply."""
    return type(func) is FunctionType and func.__code__.co_flags & _COROUTINE != 0
