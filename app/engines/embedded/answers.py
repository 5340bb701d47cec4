"""What callers wait for while the journal writes: futures that outlive them if need be."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from app.jobs.errors import JobsError, StoreUnavailable

T = TypeVar("T")

STORE_TIMEOUT: Final = 10.0
"""Seconds that a caller waits for the journal before it is told that the store is unavailable."""

_LOOKS_EVERY: Final = 0.02
"""Seconds between looks at those who wait: what was answered after those before it is let go."""


def _refuse_late(done: asyncio.Future[Any]) -> None:
    text = f"the journal has not answered for {STORE_TIMEOUT:g} s"
    refuse(done, StoreUnavailable(text))


class Answers:
    """Those who wait, with one timer for all of them: hardly anybody waits for that long.

    `late` answers who has waited `within` seconds.
    """

    def __init__(
        self,
        within: float = STORE_TIMEOUT,
        late: Callable[[asyncio.Future[Any]], None] = _refuse_late,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._within = within
        self._late = late
        self._awaited: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def new(self) -> asyncio.Future[Any]:
        """What the journal is to answer with `resolve` or `refuse`."""
        return self._loop.create_future()

    def wait(self, done: asyncio.Future[T], *, shared: bool = False) -> asyncio.Future[T]:
        """What to await for the answer; the change goes on when the caller does not wait for it.

        What others wait for too is `shared`: then a caller who gives up leaves it alone.
        """
        waiting = self._own(done) if shared else done
        self._awaited.append((self._loop.time() + self._within, waiting))
        if self._timer is None:
            self._look_later()
        return waiting

    def close(self) -> None:
        """Look at the time no more: all has been answered."""
        if self._timer is not None:
            self._timer.cancel()

    def _own(self, done: asyncio.Future[T]) -> asyncio.Future[T]:
        """A future that is answered as the other one is, and can be given up without it."""
        own: asyncio.Future[T] = self._loop.create_future()
        done.add_done_callback(partial(_pass_on, own))
        return own

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(min(self._within, _LOOKS_EVERY), self._look)

    def _look(self) -> None:
        """Let go of those that have been answered, and answer those that have waited too long."""
        self._timer = None
        now, awaited = self._loop.time(), self._awaited
        while awaited:
            until, waiting = awaited[0]
            if not waiting.done():
                if until > now:
                    break
                self._late(waiting)
            awaited.popleft()
        if awaited:
            self._look_later()


def _pass_on(own: asyncio.Future[T], done: asyncio.Future[T]) -> None:
    error = done.exception()
    if error is None:
        resolve(own, done.result())
    elif isinstance(error, JobsError):
        refuse(own, error)


def resolve(done: asyncio.Future[T], value: T) -> None:
    """Answer, if anybody waits for it still."""
    if not done.done():
        done.set_result(value)


def refuse(done: asyncio.Future[Any], error: JobsError) -> None:
    """Answer with an error, which is no loss if nobody waits for it any more."""
    if not done.done():
        done.set_exception(error)
        done.exception()
