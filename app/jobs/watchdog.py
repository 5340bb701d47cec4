"""Notices that the event loop is blocked, and says by which job and where."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, takewhile
from types import CodeType
from typing import Final

from app.scheduler.origin import name_behind
from app.scheduler.steps import DRIVERS

log = logging.getLogger(__name__)

_MAX_FRAMES: Final = 50


class Watchdog:
    """A thread that looks whether the event loop turns.

    Once it has not for `blocked_after` seconds, the job whose coroutine or subtask holds it up is
    logged with its stack, a quarter of that time later at most; once it turns again, for how long
    it did not. While the whole process is suspended no job is blamed: then this thread does not run
    either, and the process uses (`used`) no processor time. It ends with the loop at the latest.
    """

    def __init__(
        self, blocked_after: float = 1.0, used: Callable[[], float] = time.process_time
    ) -> None:
        self._blocked_after = blocked_after
        self._used = used
        self._every = blocked_after / 8
        self._times = 0
        self._seconds = 0.0
        self._beat_at = self._since = 0.0
        self._culprit: str | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def times(self) -> int:
        """How often the event loop has been blocked."""
        return self._times

    @property
    def seconds(self) -> float:
        """For how long in all, the present block included."""
        if self._culprit is None:
            return self._seconds
        # As far as the count will have grown by then: it never goes back.
        until = self._beat_at if self._beat_at > self._since else time.monotonic()
        return self._seconds + until - self._since

    def start(self) -> None:
        """Watch the event loop that this is called in."""
        loop = asyncio.get_running_loop()
        self._beat(loop)
        where = _Where(loop, threading.get_ident(), _outer_code())
        self._thread = threading.Thread(
            target=self._watch, args=(where,), name="awaitd-watchdog", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.join()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat_at = time.monotonic()
        self._timer = loop.call_later(self._every, self._beat, loop)

    def _watch(self, where: "_Where") -> None:
        self._since = looked_at = time.monotonic()
        used = self._used()
        while not self._stopped.wait(self._every):
            before, used_before = looked_at, used
            looked_at, used = time.monotonic(), self._used()
            if where.loop.is_closed():  # nobody stopped us, and nothing can be blocked any more
                return
            idle = not where.loop.is_running()
            if idle or self._was_suspended(looked_at - before, used - used_before):
                self._since = looked_at
            self._look(where, looked_at)

    def _was_suspended(self, passed: float, used: float) -> bool:
        """Whether this thread did not run either, and not because the other one computed."""
        return passed > 4 * self._every and used < passed / 2

    def _look(self, where: "_Where", now: float) -> None:
        beat = self._beat_at
        if beat > self._since:
            self._goes_on(beat - self._since)
            self._since = beat
        elif self._culprit is None and now - self._since >= self._blocked_after:
            self._culprit = where.culprit()
            self._times += 1
            text = "the event loop has been blocked for %.1f s by %s; nothing else runs\n%s"
            log.error(text, now - self._since, self._culprit, where.stack())

    def _goes_on(self, silence: float) -> None:
        if self._culprit is None and silence < self._blocked_after:
            return
        if self._culprit is None:  # it kept this thread from looking, too
            self._times += 1
        self._seconds += silence
        text = "the event loop goes on; it was blocked for %.1f s by %s"
        log.warning(text, silence, self._culprit or "a call that kept every thread from running")
        self._culprit = None


@dataclass(frozen=True, slots=True)
class _Where:
    """An event loop, its thread, and the code that runs it, outside of every coroutine's."""

    loop: asyncio.AbstractEventLoop
    thread_id: int
    outer_code: frozenset[CodeType]

    def culprit(self) -> str:
        """What runs there now, as a log calls it."""
        task = asyncio.current_task(self.loop)
        if task is None:
            return "a callback"
        name = name_behind(task)
        return f"{task.get_name()}, which is no job's" if name is None else f"job {name}"

    def stack(self) -> str:
        """The stack there from the coroutine or callback on, innermost last."""
        frames = traceback.walk_stack(sys._current_frames()[self.thread_id])
        inner = takewhile(lambda entry: entry[0].f_code not in self.outer_code, frames)
        stack = traceback.StackSummary.extract(islice(inner, _MAX_FRAMES))
        stack.reverse()
        return "".join(stack.format()).rstrip()


def _outer_code() -> frozenset[CodeType]:
    task = asyncio.current_task()
    frame = None if task is None else getattr(task.get_coro(), "cr_frame", None)
    if frame is None or frame.f_back is None:
        return DRIVERS
    return DRIVERS.union(outer.f_code for outer, _ in traceback.walk_stack(frame.f_back))
