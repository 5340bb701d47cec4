"""The in-process asyncio scheduler."""

import asyncio
import functools
import heapq
import inspect
import itertools
import logging
import math
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Self, TypeVar

from app.scheduler.errors import SchedulerClosed
from app.scheduler.states import Status
from app.scheduler.task import BackgroundTask

T = TypeVar("T")

log = logging.getLogger(__name__)


class BackgroundTaskScheduler:
    """Runs coroutine functions in the background and holds them until they have finished.

    `max_running` bounds how many run at once (None: unlimited); further ones wait, higher
    `priority` first, in order of creation inside one. Every task runs in a copy of `context`, by
    default an empty one, so that nothing of its creator's context leaks into it.

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
    ) -> None:
        if max_running is not None and max_running < 1:
            raise ValueError(f"max_running is at least 1, or None for no limit: not {max_running}")
        self._max_running = math.inf if max_running is None else max_running
        self._grace = grace
        self._cancel_grace = cancel_grace
        self._context = Context() if context is None else context
        self._unfinished: set[BackgroundTask[Any]] = set()
        self._waiting: list[tuple[int, int, BackgroundTask[Any]]] = []
        self._order = itertools.count()
        self._slots_taken = 0
        self._closed = False
        self._idle: asyncio.Future[None] | None = None

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
        return frozenset(self._unfinished)

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
        self._require_open()
        _require_coroutine_function(func)
        asyncio.get_running_loop()  # raises while there is nothing to take back
        task = BackgroundTask(func(*args, **kwargs), name or _name_of(func), self._forget)
        self._unfinished.add(task)
        if self._slots_taken < self._max_running:
            self._start(task)
        else:
            heapq.heappush(self._waiting, (-priority, next(self._order), task))
        return task

    async def close(self) -> None:
        """Refuse new tasks and end those there are, as leaving `async with` does."""
        self._closed = True
        try:
            await self._wait_until_idle(self._grace)
        finally:
            await self._cancel_unfinished()

    def _start(self, task: BackgroundTask[Any]) -> None:
        self._slots_taken += 1
        task.start(self._context.copy())

    def _forget(self, task: BackgroundTask[Any]) -> None:
        self._unfinished.discard(task)
        if task.started:
            self._slots_taken -= 1
            self._start_next()
        else:
            self._drop_cancelled()
        if self._idle is not None and not self._unfinished:
            self._idle.set_result(None)

    def _start_next(self) -> None:
        while self._waiting and self._slots_taken < self._max_running:
            *_, task = heapq.heappop(self._waiting)
            if task.status() is Status.PENDING:  # else it was cancelled while it waited
                self._start(task)

    def _drop_cancelled(self) -> None:
        """Rebuild the queue once most of it are tasks that were cancelled while they waited."""
        still_waiting = len(self._unfinished) - self._slots_taken
        if len(self._waiting) > 2 * still_waiting:
            self._waiting = [entry for entry in self._waiting if entry[-1] in self._unfinished]
            heapq.heapify(self._waiting)

    async def _wait_until_idle(self, timeout: float) -> None:
        if not self._unfinished:
            return
        if self._idle is None:  # else another `close` waits for it too
            self._idle = asyncio.get_running_loop().create_future()
        await asyncio.wait((self._idle,), timeout=timeout)

    async def _cancel_unfinished(self) -> None:
        for task in self.unfinished:
            task.cancel()
        try:
            await self._wait_until_idle(self._cancel_grace)
        finally:
            self._warn_of_running()

    def _warn_of_running(self) -> None:
        if names := sorted(task.name for task in self._unfinished):
            log.warning("still running after their cancel: %s", ", ".join(names))

    def _require_open(self) -> None:
        if self._closed:
            raise SchedulerClosed("the scheduler is closed: it takes no new tasks")


def _require_coroutine_function(func: object) -> None:
    inner = _without_partials(func)
    if inspect.iscoroutinefunction(inner):
        return
    if callable(inner) and inspect.iscoroutinefunction(type(inner).__call__):
        return
    hint = "pass the function, not its call" if inspect.iscoroutine(func) else "use async def"
    raise TypeError(f"{func!r} is no coroutine function: {hint}")


def _name_of(func: object) -> str:
    inner = _without_partials(func)
    return getattr(inner, "__name__", type(inner).__name__)


def _without_partials(func: object) -> object:
    while isinstance(func, functools.partial):
        func = func.func
    return func
