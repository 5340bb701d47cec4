"""What coroutines say, written for those who look from other nodes: at once, but not too often."""

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import UUID

from app.engines.postgres.rows import progress_text
from app.engines.postgres.writer import Change, Writer
from app.jobs.live import LiveJob
from app.jobs.stored import lines_text

EVERY: Final = 1.0
"""Seconds between two reports of one process."""

_REPORT: Final = "SELECT report(%s, %s, %s, %s)"


class Reports:
    """Writes the progress and the lines of the jobs that have said something."""

    def __init__(self, live: Callable[[UUID], LiveJob | None], writer: Writer) -> None:
        self._live = live
        self._writer = writer
        self._due: set[UUID] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_set = False
        self._next = 0.0

    def begin(self) -> None:
        """Report on this event loop."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """Report no more."""
        self._is_set = True
        if self._timer is not None:
            self._timer.cancel()

    def heard(self, job_id: UUID) -> None:
        """A coroutine has said something, maybe from a thread of its own."""
        self._due.add(job_id)
        if not self._is_set and self._loop is not None:
            self._is_set = True
            self._loop.call_soon_threadsafe(self._set)

    def forget(self, job_id: UUID) -> None:
        """The attempt has ended: what it said last is written with its outcome."""
        self._due.discard(job_id)

    def _set(self) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_at(max(self._loop.time(), self._next), self._report)

    def _report(self) -> None:
        assert self._loop is not None
        self._next, self._is_set = self._loop.time() + EVERY, False
        due, self._due = self._due, set()
        for live in filter(None, map(self._live, due)):
            progress, lines = progress_text(live.last_progress), lines_text(live.lines)
            values = (live.id, live.number, progress, lines)
            self._writer.queue(Change(_REPORT, values, _ignore, _ignore, again=False))


def _ignore(_: object) -> None:
    """The next report says more."""
