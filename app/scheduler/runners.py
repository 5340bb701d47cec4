"""What runs the tasks of a scheduler, as many at once as it allows.

An asyncio task costs more than a short coroutine. So one of them, the probe, takes the first steps
of the tasks that are ready, one after the other, each in a context of its own. A coroutine that
does not end with its first step keeps the asyncio task that it is in to itself, to its end, and
the other tasks that are ready are given one each: nobody waits for it.
"""

import asyncio
from collections import deque
from collections.abc import Generator
from contextvars import Context
from threading import get_ident
from typing import Any, Final, cast

from app.scheduler.origin import AS_THE_TASK, running_name
from app.scheduler.steps import Suspended, take_all, take_first
from app.scheduler.task import BackgroundTask
from app.scheduler.waiting import Waiting

_AT_ONCE: Final = 100
"""First steps that the probe takes in one turn of the event loop, at most."""


class Runners:
    """The unfinished tasks of a scheduler: those that have a slot, and those that wait for one."""

    def __init__(
        self, max_running: int | None, context: Context | None, *, shares: bool = True
    ) -> None:
        self.unfinished: set[BackgroundTask[Any]] = set()
        self.idle: asyncio.Future[None] | None = None  # done when none is unfinished
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._slots_left = max_running
        self._waiting = Waiting()
        self._ready: deque[BackgroundTask[Any]] = deque()
        self._probing = False
        self._shares = shares
        self._given_context = context
        self._named_context = "", Context()
        self._probe_context = Context()
        self._probe_context.run(running_name.set, AS_THE_TASK)

    def loop_here(self) -> asyncio.AbstractEventLoop:
        """The event loop that runs in this thread; raises `RuntimeError` when there is none."""
        loop = self.loop
        if loop is not None and self._thread == get_ident() and loop.is_running():
            return loop
        return asyncio.get_running_loop()  # a call of the system in Python 3.11

    def add(
        self, task: BackgroundTask[Any], priority: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Run a task as soon as a slot is free for it; it takes no step inside this call."""
        if loop is not self.loop:  # another one's probe will never come
            self.loop, self._thread, self._probing = loop, get_ident(), False
        self.unfinished.add(task)
        if self._slots_left is None:
            self._make_ready(task, loop)
        elif self._slots_left:
            self._slots_left -= 1
            self._start(task)
        else:
            self._waiting.push(task, priority)

    def ended(self, task: BackgroundTask[Any]) -> None:
        """Let go of a task that has finished, and give its slot to the next one."""
        self.unfinished.discard(task)
        waiting = self._waiting
        if task.has_slot:
            while waiting.length:
                following = waiting.pop()
                if following.coroutine is not None:  # else it was cancelled while it waited
                    self._start(following)
                    break
            else:
                self._slots_left = (self._slots_left or 0) + 1
        elif waiting.length > 2 * len(self.unfinished):  # most of them were cancelled meanwhile
            waiting.drop_finished()
        if self.idle is not None and not self.unfinished:
            self.idle.set_result(None)

    def _start(self, task: BackgroundTask[Any]) -> None:
        task.has_slot = True
        if self.loop is not None:
            self._make_ready(task, self.loop)

    def _make_ready(self, task: BackgroundTask[Any], loop: asyncio.AbstractEventLoop) -> None:
        if not self._shares:
            self._start_own(task, loop)
            return
        self._ready.append(task)
        if not self._probing:
            self._start_probe(loop)

    def _start_own(self, task: BackgroundTask[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Run a task in an asyncio task of its own."""
        context = self._context_for(task.name)
        asyncio.Task(take_all(task, loop), loop=loop, name=task.name, context=context)

    def _start_probe(self, loop: asyncio.AbstractEventLoop) -> None:
        self._probing = True
        steps = self._probe(loop)
        steps.send(None)  # to its first await: a cancel finds it inside
        # Not by the loop's task factory: an eager one would take the first step here and now.
        asyncio.Task(steps, loop=loop, name=self._ready[0].name, context=self._probe_context)

    async def _probe(self, loop: asyncio.AbstractEventLoop) -> None:
        suspended = None
        try:
            await _NEXT_TURN
            while self._ready and (suspended := self._first_steps(loop)) is None:
                await _NEXT_TURN  # also after the last: often there is a new one then
        finally:
            self._leave(loop, suspended is not None)
        if suspended is not None:
            try:
                await suspended
            except BaseException as error:  # a GeneratorExit, which closed the coroutine
                suspended.task.raised(error, None)

    def _first_steps(self, loop: asyncio.AbstractEventLoop) -> Suspended | None:
        """Take first steps until a coroutine suspends; what is left of that one."""
        probe = asyncio.current_task(loop)
        assert probe is not None
        ready = self._ready
        last = None
        for _ in range(min(_AT_ONCE, len(ready))):
            task = ready.popleft()
            name = task.name
            if name is not last:
                last = name
                probe.set_name(name)
            suspended = take_first(task, probe, self._context_for(name))
            if suspended is not None:
                return suspended
            # What a coroutine did to its asyncio task is not to reach the next one. Where
            # asyncio does not tell of a cancel that is still to come, each has its own.
            if probe.cancelling() or getattr(probe, "_must_cancel", True):
                raise asyncio.CancelledError
        return None

    def _leave(self, loop: asyncio.AbstractEventLoop, suspended: bool) -> None:
        if loop is not self.loop or loop.is_closed():
            return
        self._probing = False
        if not self._ready:
            return
        if not suspended:
            self._start_probe(loop)
            return
        ready, self._ready = self._ready, deque()
        for task in ready:
            if task.coroutine is not None:  # else it was cancelled before its first step
                self._start_own(task, loop)

    def _context_for(self, name: str) -> Context:
        """A fresh context for a task of that name."""
        if self._given_context is not None:
            context = self._given_context.copy()
            context.run(running_name.set, name)
            return context
        last_name, context = self._named_context
        if name != last_name:
            context = Context()
            context.run(running_name.set, name)
            self._named_context = name, context
        return context.copy()


class _NextTurn:
    def __await__(self) -> Generator[None, None, None]:
        return cast(Generator[None, None, None], iter((None,)))  # half the price of a `yield`


_NEXT_TURN: Final = _NextTurn()
