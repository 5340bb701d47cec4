"""A coroutine that runs in the background, and the handle to it."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar, cast, final

from app.scheduler.errors import TaskNotFinished
from app.scheduler.states import (
    CANCEL,
    COMPLETE,
    FAIL,
    FAILED,
    PENDING,
    START,
    TRANSITIONS,
    Status,
    Step,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

_Failure: TypeAlias = tuple[BaseException, TracebackType | None]


class Owner(Protocol):
    """Whoever gave a task its slot, or will."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that its tasks run in."""

    def ended(self, task: "BackgroundTask[Any]") -> None:
        """Let go of a task that has finished."""


@final
class BackgroundTask(Generic[T]):
    """One coroutine in the background. Made by `BackgroundTaskScheduler.create_task`.

    Not thread-safe: every method is called in the thread of the scheduler's event loop.
    """

    __slots__ = (
        "_callbacks",
        "_cancel_requested",
        "_failure",
        "_owner",
        "_runner",
        "_status",
        "_value",
        "_waiters",
        "coroutine",
        "has_slot",
        "name",
    )

    def __init__(self, coroutine: Coroutine[Any, Any, T], name: str, owner: Owner) -> None:
        self.name: Final = name
        """The name given to `create_task`, else the function's name."""
        self._status = PENDING
        self._cancel_requested = self.has_slot = False
        # Held only while they are of use: a finished task keeps no frame alive.
        self.coroutine: Coroutine[Any, Any, T] | None = coroutine
        """The coroutine while it has not finished, for those who want to see where it awaits."""
        self._owner: Owner | None = owner
        self._runner: asyncio.Task[Any] | None = None
        self._waiters: set[asyncio.Future[None]] | None = None
        self._callbacks: tuple[Callable[[BackgroundTask[T]], None], ...] = ()
        self._value: T | None = None
        self._failure: _Failure | None = None

    @property
    def cancel_requested(self) -> bool:
        """True from the `cancel()` that returned True on; the task may still be running."""
        return self._cancel_requested

    def status(self) -> Status:
        """Where the task stands now."""
        return self._status

    def get_result(self) -> T | None:
        """What the coroutine returned; None for a cancelled one that returned nothing.

        Raises the very exception of a failed task, and `TaskNotFinished` before the end.
        """
        if self.coroutine is not None:
            raise TaskNotFinished(self.name, self._status)
        if self._status is FAILED:
            # Without its own traceback back, each call would add a few frames more to it.
            error, traceback = cast(_Failure, self._failure)
            raise BaseException.with_traceback(error, traceback)
        return self._value

    def exception(self) -> BaseException | None:
        """What the coroutine raised: why it failed, or what its clean-up after a cancel raised.

        None if it raised nothing but the `CancelledError` it was sent. Raises `TaskNotFinished`
        before the end.
        """
        if self.coroutine is not None:
            raise TaskNotFinished(self.name, self._status)
        return None if self._failure is None else self._failure[0]

    def cancel(self) -> bool:
        """Ask the task to stop; True if this call newly asked.

        A pending task is cancelled at once and never runs. In a running one `CancelledError` is
        raised where it awaits, once; it is cancelled when it has really ended.
        """
        if self._cancel_requested or self.coroutine is None:
            return False
        self._cancel_requested = True
        if self._runner is not None:
            self._runner.cancel()
        else:
            self.coroutine.close()  # one that never ran would warn that it was never awaited
            self._end(CANCEL, None)
        return True

    async def wait(self, timeout: float | None = None) -> T | None:
        """Wait until the task has finished, then as `get_result()`.

        Raises `TimeoutError` when `timeout` seconds run out. Neither that nor cancelling the
        waiter touches the task.
        """
        if timeout is None:
            return await self
        if self._owner is not None:
            await self._finished_within(timeout, self._owner.loop)
        if self.coroutine is not None:
            raise TimeoutError(f"task {self.name!r} is {self._status} after {timeout} s")
        return self.get_result()

    def add_done_callback(self, callback: Callable[["BackgroundTask[T]"], None]) -> None:
        """Call `callback(task)` once, in the turn in which the task ends; at once if it has.

        What a callback raises at the end of a task is logged and touches nothing else.
        """
        if self.coroutine is None:
            callback(self)
        else:
            self._callbacks += (callback,)

    def __await__(self) -> Generator[Any, None, T | None]:
        """Wait until the task has finished, then as `get_result()`."""
        if self._owner is not None:
            waiter = self._new_waiter(self._owner.loop)
            try:
                yield from waiter  # its own future: cancelling it touches nobody else
            finally:
                if self._waiters is not None:
                    self._waiters.discard(waiter)
        return self.get_result()

    def __repr__(self) -> str:
        return f"<BackgroundTask {self.name} {self._status}>"

    def started(self, runner: asyncio.Task[Any] | None) -> Coroutine[Any, Any, T] | None:
        """Start, in `runner`: gives the coroutine, or None if the task was cancelled before.

        For whoever runs it, who reports the end by `returned` or `raised`.
        """
        if self.coroutine is not None:
            self._status = TRANSITIONS[self._status, START]
            self._runner = runner
        return self.coroutine

    def returned(self, value: T, context: Context | None) -> None:
        """End with what the coroutine returned; callbacks run in `context`, if it is another."""
        self._value = value
        self._end(CANCEL if self._cancel_requested else COMPLETE, context)

    def raised(self, error: BaseException, context: Context | None) -> None:
        """End with what the coroutine raised, whatever it is, from the frame that has caught it.

        That ends this task and nothing else: an asyncio task that lets a KeyboardInterrupt or
        SystemExit out would stop the whole loop.
        """
        # By its type, for an exception's own `__class__` and `__traceback__` may raise.
        if self._cancel_requested and issubclass(type(error), asyncio.CancelledError):
            self._end(CANCEL, context)
            return
        # Past our own frame, which would tie the task into a reference cycle.
        traceback = sys.exc_info()[2]
        traceback = traceback and traceback.tb_next
        BaseException.with_traceback(error, traceback)  # a frozen one refuses the assignment
        self._failure = error, traceback
        self._end(CANCEL if self._cancel_requested else FAIL, context)

    def _end(self, step: Step, context: Context | None) -> None:
        self._status = TRANSITIONS[self._status, step]
        self.coroutine = self._runner = None
        waiters, self._waiters = self._waiters, None
        if waiters is not None:
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.ended(self)
        if not self._callbacks:
            return
        if context is None:
            self._call_back()
        else:
            context.run(self._call_back)

    def _call_back(self) -> None:
        callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            try:
                callback(self)
            except BaseException:  # a SystemExit would stop the whole loop
                log.exception("a callback of task %r raised", self.name)

    async def _finished_within(
        self, timeout: float, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        waiter = self._new_waiter(loop)
        try:
            await asyncio.wait((waiter,), timeout=timeout)
        finally:
            if self._waiters is not None:
                self._waiters.discard(waiter)

    def _new_waiter(self, loop: asyncio.AbstractEventLoop | None) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.Future(loop=loop)
        if self._waiters is None:
            self._waiters = {waiter}
        else:
            self._waiters.add(waiter)
        return waiter
