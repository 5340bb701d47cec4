"""An event loop with a virtual clock and no order of its own: a seed decides what runs next."""

import asyncio
from asyncio import base_events
from collections import deque
from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import Any, Final, Protocol, TypeVarTuple

Ts = TypeVarTuple("Ts")

TICK: Final = 0.125
"""Seconds. All delays are so many of these, which floats hold exactly: so things coincide often."""


class Crash(Exception):
    """Raised out of the loop when the simulated process has ended."""


class _Timer(Protocol):
    def when(self) -> float: ...


class SimulatedLoop(base_events.BaseEventLoop):
    """What is ready runs in an order drawn by `chance`; the clock jumps to the next timer.

    asyncio runs callbacks in the order in which they became ready. Code that lives off that order
    breaks as soon as one more hop is put in, so `disorder`, from 0 to 1, says how often it is not
    kept. Two orders are: that of timers of different times, and that of what comes from the
    writer, through `call_soon_threadsafe`, for the journal answers in the order of its changes.
    """

    _scheduled: list[_Timer]

    def __init__(self, chance: Random, start: float, disorder: float) -> None:
        super().__init__()
        self._now = start
        self._ready = Ready(chance, disorder)
        self._selector = self
        self.unhandled: list[str] = []
        """What the loop's exception handler was told of."""
        self.set_exception_handler(self._note)

    @property
    def ready(self) -> "Ready":
        """What is to run."""
        return self._ready

    def time(self) -> float:
        return self._now

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.posted.append(handle)
        return handle

    def select(self, timeout: float | None) -> list[Any]:
        """In place of a selector: nothing ever comes from outside."""
        if timeout is None:
            raise RuntimeError("nothing is ready and no timer is set")
        if timeout > 0:
            self._now = max(self._now, self._scheduled[0].when())
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.unhandled.append(f"{context.get('message')}: {context.get('exception')!r}")


class Ready:
    """The ready queue. `crash` lets the next callback not run any more, nor any after it."""

    def __init__(self, chance: Random, disorder: float) -> None:
        self._chance = chance.random
        self._disorder = disorder
        self._handles: deque[asyncio.Handle] = deque()
        self.posted: deque[asyncio.Handle] = deque()
        self.turns = 0
        """How many callbacks have run."""
        self.crash_at = 0
        """Before which of them the process ends; 0 for none."""

    def crash(self) -> None:
        """Let nothing run any more."""
        self.crash_at = self.turns + 1

    def append(self, handle: asyncio.Handle) -> None:
        self._handles.append(handle)

    def popleft(self) -> asyncio.Handle:
        self.turns += 1
        if 0 < self.crash_at <= self.turns:
            raise Crash
        handles = self._handles
        if self.posted and (not handles or self._chance() < 0.5):
            return self.posted.popleft()
        if len(handles) > 1 and self._chance() < self._disorder:
            handles.rotate(-int(self._chance() * len(handles)))
        return handles.popleft()

    def clear(self) -> None:
        self._handles.clear()
        self.posted.clear()

    def __len__(self) -> int:
        return len(self._handles) + len(self.posted)
