"""Who watches jobs, and what there is to tell them.

A change says only that there is something new to read; each watcher reads the state there is when
it gets to it. So a slow one skips states, and nothing piles up for it.
"""

import asyncio
from types import TracebackType
from typing import Self
from uuid import UUID


class Watcher:
    """One who watches a job, or all of them (`job_id` None). Registered while in `with`.

    With `speech` it is also woken when a coroutine reports progress or logs.
    """

    def __init__(self, feed: "Feed", job_id: UUID | None, *, speech: bool) -> None:
        self._feed = feed
        self._key = _key_of(job_id)
        self.hears_speech = speech
        self._news = False
        self._waiting: asyncio.Future[None] | None = None
        self.spoke: set[UUID] = set()
        """The running jobs that have reported progress or logged since `spoke` was cleared."""

    def __enter__(self) -> Self:
        self._feed.watchers.setdefault(self._key, {})[self] = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        watchers = self._feed.watchers[self._key]
        del watchers[self]
        if not watchers:
            del self._feed.watchers[self._key]

    def wake(self) -> None:
        """There is something new to read."""
        self._news = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def news(self, timeout: float | None = None) -> bool:
        """Wait until there is something new, or `timeout` seconds have passed: then False."""
        if not self._news:
            loop = asyncio.get_running_loop()
            self._waiting = waiting = loop.create_future()
            timer = None if timeout is None else loop.call_later(timeout, _end, waiting)
            try:
                await waiting
            finally:
                self._waiting = None
                if timer is not None:
                    timer.cancel()
        news, self._news = self._news, False
        return news


def _key_of(job_id: UUID | None) -> int | None:
    return None if job_id is None else job_id.int


def _end(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class Feed:
    """Brings the news to those who watch."""

    def __init__(self) -> None:
        # In the order in which they came, not in that of a set, which no seed could repeat.
        self.watchers: dict[int | None, dict[Watcher, None]] = {}
        """By the number of the id of the job that they watch, which is quick to hash."""

    def watch(self, job_id: UUID | None = None, *, speech: bool = False) -> Watcher:
        """A watcher of one job, or of all; with `speech` also of what coroutines report."""
        return Watcher(self, job_id, speech=speech)

    def is_watched(self, job_id: UUID) -> bool:
        """Whether anybody waits for news of the job."""
        return bool(self.watchers) and (job_id.int in self.watchers or None in self.watchers)

    def changed(self, job_id: UUID) -> None:
        """A change of the job was committed."""
        if not self.watchers:
            return
        for key in (job_id.int, None):
            for watcher in self.watchers.get(key, ()):
                watcher.wake()

    def spoke(self, job_id: UUID) -> None:
        """The job's coroutine has reported progress or logged."""
        for key in (job_id.int, None):
            for watcher in self.watchers.get(key, ()):
                if watcher.hears_speech:
                    watcher.spoke.add(job_id)
                    watcher.wake()

    def wake_all(self) -> None:
        """Let everybody look again, for instance because the engine drains."""
        for watchers in self.watchers.values():
            for watcher in watchers:
                watcher.wake()
