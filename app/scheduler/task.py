"""A coroutine that runs in the background, and the handle to it."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import Any, Generic, TypeVar, cast, final

from app.scheduler.errors import TaskNotFinished
from app.scheduler.origin import running_name
from app.scheduler.states import Status, Step, after

T = TypeVar("T")

log = logging.getLogger(__name__)


@final
class BackgroundTask(Generic[T]):
    """One coroutine in the background. Made by `BackgroundTaskScheduler.create_task`.

    Not thread-safe: every method is called in the thread of the scheduler's event loop.
    """

    __slots__ = (
        "_callbacks",
        "_cancel_requested",
        "_coroutine",
        "_exception",
        "_name",
        "_runner",
        "_status",
        "_traceback",
        "_value",
        "_waiters",
    )

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, T],
        name: str,
        on_done: Callable[["BackgroundTask[T]"], None],
    ) -> None:
        self._name = name
        self._status = Status.PENDING
        self._cancel_requested = False
        self._value: T | None = None
        self._exception: BaseException | None = None
        self._traceback: TracebackType | None = None
        # Held only while they are of use: a finished task keeps no frame alive.
        self._coroutine: Coroutine[Any, Any, T] | None = coroutine
        self._callbacks: tuple[Callable[[BackgroundTask[T]], None], ...] = (on_done,)
        self._runner: asyncio.Task[None] | None = None
        self._waiters: set[asyncio.Future[None]] | None = None

    @property
    def name(self) -> str:
        """The name given to `create_task`, else the function's name."""
        return self._name

    @property
    def cancel_requested(self) -> bool:
        """True from the `cancel()` that returned True on; the task may still be running."""
        return self._cancel_requested

    @property
    def coroutine(self) -> Coroutine[Any, Any, T] | None:
        """The coroutine while it has not finished, for those who want to see where it awaits."""
        return self._coroutine

    @property
    def started(self) -> bool:
        """True while it has a slot, which it takes one turn of the event loop before it runs."""
        return self._runner is not None

    def status(self) -> Status:
        """Where the task stands now."""
        return self._status

    def get_result(self) -> T | None:
        """What the coroutine returned; None for a cancelled one that returned nothing.

        Raises the very exception of a failed task, and `TaskNotFinished` before the end.
        """
        self._require_finished()
        if self._status is Status.FAILED:
            # Without its own traceback back, each call would add a few frames more to it.
            failure = cast(BaseException, self._exception)
            raise BaseException.with_traceback(failure, self._traceback)
        return self._value

    def exception(self) -> BaseException | None:
        """What the coroutine raised: why it failed, or what its clean-up after a cancel raised.

        None if it raised nothing but the `CancelledError` it was sent. Raises `TaskNotFinished`
        before the end.
        """
        self._require_finished()
        return self._exception

    def cancel(self) -> bool:
        """Ask the task to stop; True if this call newly asked.

        A pending task is cancelled at once and never runs. In a running one `CancelledError` is
        raised where it awaits, once; it is cancelled when it has really ended.
        """
        if self._cancel_requested or self._status.finished:
            return False
        self._cancel_requested = True
        if self._runner is None or self._status is Status.PENDING:
            self._end(Step.CANCEL)
        else:
            self._runner.cancel()
        return True

    async def wait(self, timeout: float | None = None) -> T | None:
        """Wait until the task has finished, then as `get_result()`.

        Raises `TimeoutError` when `timeout` seconds run out. Neither that nor cancelling the
        waiter touches the task.
        """
        if not self._status.finished:
            await self._finished_within(timeout)
        if not self._status.finished:
            raise TimeoutError(f"task {self._name!r} is {self._status} after {timeout} s")
        return self.get_result()

    def add_done_callback(self, callback: Callable[["BackgroundTask[T]"], None]) -> None:
        """Call `callback(task)` once, in the turn in which the task ends; at once if it has.

        What a callback raises at the end of a task is logged and touches nothing else.
        """
        if self._status.finished:
            callback(self)
        else:
            self._callbacks += (callback,)

    def __await__(self) -> Generator[Any, None, T | None]:
        """Wait until the task has finished, then as `get_result()`."""
        return self.wait().__await__()

    def __repr__(self) -> str:
        return f"<BackgroundTask {self._name} {self._status}>"

    def start(self, context: Context) -> None:
        """Run the coroutine from the next turn of the event loop on. The scheduler's to call."""
        loop = asyncio.get_running_loop()
        # Not by the loop's task factory: an eager one would take the first step here and now.
        self._runner = asyncio.Task(self._run(), loop=loop, name=self._name, context=context)

    async def _run(self) -> None:
        if self._coroutine is None:  # cancelled before its first step
            return
        self._status = after(self._status, Step.START)
        running_name.set(self._name)
        try:
            self._value = await self._coroutine
        # Whatever it raises ends this task and nothing else: an asyncio task that lets a
        # KeyboardInterrupt or SystemExit out would stop the whole loop.
        except BaseException as error:
            self._end(self._step_after(error))
        else:
            self._end(Step.CANCEL if self._cancel_requested else Step.COMPLETE)

    def _step_after(self, error: BaseException) -> Step:
        # By its type, for an exception's own `__class__` and `__traceback__` may raise.
        if self._cancel_requested and issubclass(type(error), asyncio.CancelledError):
            return Step.CANCEL
        self._exception = error
        # Past our own frame, which would tie the task into a reference cycle.
        traceback = sys.exc_info()[2]
        self._traceback = traceback and traceback.tb_next
        BaseException.with_traceback(error, self._traceback)  # a frozen one refuses the assignment
        return Step.CANCEL if self._cancel_requested else Step.FAIL

    def _end(self, step: Step) -> None:
        self._status = after(self._status, step)
        if self._coroutine is not None:
            self._coroutine.close()  # one that never ran would warn that it was never awaited
        self._coroutine = None
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)
        callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            try:
                callback(self)
            except BaseException:  # a SystemExit would stop the whole loop
                log.exception("a callback of task %r raised", self._name)
        self._runner = None

    async def _finished_within(self, timeout: float | None) -> None:
        waiter = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = set()
        self._waiters.add(waiter)
        try:
            if timeout is None:
                await waiter  # its own future: cancelling it touches nobody else
            else:
                await asyncio.wait((waiter,), timeout=timeout)
        finally:
            if self._waiters is not None:
                self._waiters.discard(waiter)

    def _require_finished(self) -> None:
        if not self._status.finished:
            raise TaskNotFinished(self._name, self._status)
