"""What those who watch the embedded engine are told, and when."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Final
from uuid import UUID

from app.engines.embedded.dispatcher import Dispatcher
from app.engines.embedded.journal import Journal
from app.jobs.events import EventKind, JobEvent
from app.jobs.feed import Feed, Watcher
from app.jobs.models import Job, JobQuery, Progress
from app.jobs.queries import matches

ALIVE_EVERY: Final = 15.0
"""Seconds without an event after which a stream says that it is alive."""

PAUSE: Final = 0.05
"""Seconds between two looks at what coroutines report: what is said more often is skipped."""

_BATCH: Final = 100


class Watching:
    """Turns news into events. A stream ends with its job, or when `draining` says so."""

    def __init__(
        self,
        journal: Journal,
        dispatcher: Dispatcher,
        feed: Feed,
        draining: Callable[[], bool],
    ) -> None:
        self._journal = journal
        self._dispatcher = dispatcher
        self._feed = feed
        self._draining = draining

    async def job(self, job_id: UUID, since: int | None) -> AsyncGenerator[JobEvent, None]:
        """One job: its state if it changed after `since`, then each change, to its end."""
        speech = _Speech(self._journal, self._dispatcher)
        if since is not None or self._dispatcher.live(job_id) is None:
            speech.skip(job_id)
        if since is not None and not self._reaches(since):
            since = None  # its state has to be told anew
        self._journal.hurry()
        with self._feed.watch(job_id, speech=True) as watcher:
            while (job := self._journal.reader.get(job_id)) is not None:
                for event in _news_of(job, since, speech):
                    yield event
                if job.done or self._draining():
                    return
                if since == job.version:  # only its coroutine spoke
                    await asyncio.sleep(PAUSE)
                since = job.version
                while not await watcher.news(ALIVE_EVERY):
                    yield JobEvent(kind=EventKind.ALIVE)

    async def all(self, query: JobQuery, since: int | None) -> AsyncGenerator[JobEvent, None]:
        """All jobs that match: those changed after `since`, then each change, until the end."""
        speech = _Speech(self._journal, self._dispatcher)
        for job_id in self._dispatcher.running_jobs():
            speech.skip(job_id)
        self._journal.hurry()
        with self._feed.watch(speech=True) as watcher:
            opening = self._opening(since)
            yield opening
            stream = _Stream(self._journal, watcher, speech, query, opening.version or 0)
            while True:
                for event in stream.news():
                    yield event
                if self._draining():
                    return
                await asyncio.sleep(PAUSE)
                while not await watcher.news(ALIVE_EVERY):
                    yield JobEvent(kind=EventKind.ALIVE)

    def _opening(self, since: int | None) -> JobEvent:
        """From where a stream of all jobs goes on."""
        now = self._journal.reader.last_version()
        if since is None:
            return JobEvent(kind=EventKind.POSITION, version=now)
        if not self._reaches(since):
            return JobEvent(kind=EventKind.RESET, version=now)
        return JobEvent(kind=EventKind.POSITION, version=since)

    def _reaches(self, since: int) -> bool:
        """Whether the journal still tells what has changed since, in this course of events."""
        reader = self._journal.reader
        return reader.last_removed_version() <= since <= reader.last_version()


class _Speech:
    """What coroutines have said that one watcher has not been told yet."""

    def __init__(self, journal: Journal, dispatcher: Dispatcher) -> None:
        self._journal = journal
        self._dispatcher = dispatcher
        self._progress: dict[UUID, Progress | None] = {}
        self._lines: dict[UUID, int] = {}

    def of(self, job_id: UUID) -> Iterator[JobEvent]:
        """The latest progress and the log lines, as far as they are news."""
        live = self._dispatcher.live(job_id)
        if live is not None and live.last_progress != self._progress.get(job_id):
            self._progress[job_id] = live.last_progress
            yield JobEvent(kind=EventKind.PROGRESS, job_id=job_id, progress=live.last_progress)
        for line in self._journal.reader.lines(job_id) if live is None else tuple(live.lines or ()):
            if line.number > self._lines.get(job_id, 0):
                self._lines[job_id] = line.number
                yield JobEvent(kind=EventKind.LOG, job_id=job_id, line=line)

    def skip(self, job_id: UUID) -> None:
        """Take what was said so far as told."""
        for _ in self.of(job_id):
            pass

    def forget(self, job_id: UUID) -> None:
        """The job has ended: it says no more."""
        self._progress.pop(job_id, None)
        self._lines.pop(job_id, None)


class _Stream:
    """The jobs that match a query, and up to which change one watcher has been told of them."""

    def __init__(
        self, journal: Journal, watcher: Watcher, speech: _Speech, query: JobQuery, since: int
    ) -> None:
        self._journal = journal
        self._watcher = watcher
        self._speech = speech
        self._query = query
        self._since = since

    def news(self) -> Iterator[JobEvent]:
        """The state of each job that changed, in the order of changes, and what coroutines said."""
        while jobs := self._journal.reader.changed_since(self._since, _BATCH):
            for job in jobs:
                if job.done:
                    yield from self._spoken()  # what it said last comes before its end
                    self._speech.forget(job.id)
                if matches(job, self._query):
                    yield _state_of(job)
                self._since = job.version
        yield from self._spoken()

    def _spoken(self) -> Iterator[JobEvent]:
        spoke, self._watcher.spoke = self._watcher.spoke, set()
        for job_id in spoke:
            if self._is_wanted(job_id):
                yield from self._speech.of(job_id)

    def _is_wanted(self, job_id: UUID) -> bool:
        if self._query == JobQuery():
            return True
        job = self._journal.reader.get(job_id)
        return job is not None and matches(job, self._query)


def _news_of(job: Job, since: int | None, speech: _Speech) -> Iterator[JobEvent]:
    """Its state, if it changed after `since`, and what it said: before its end, after all else."""
    said = speech.of(job.id)
    if job.done:
        yield from said
    if since is None or job.version > since:
        yield _state_of(job)
    yield from said


def _state_of(job: Job) -> JobEvent:
    kind = EventKind.DONE if job.done else EventKind.STATUS
    return JobEvent(kind=kind, version=job.version, job=job)
