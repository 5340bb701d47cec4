"""What those who watch the distributed engine are told, and when."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final
from uuid import UUID

from app.engines.postgres.reading import Reading
from app.engines.postgres.tables import Tables
from app.engines.postgres.worker import Worker
from app.jobs.events import EventKind, JobEvent, LogLine
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
        tables: Tables,
        worker: Worker,
        reading: Reading,
        feed: Feed,
        draining: Callable[[], bool],
    ) -> None:
        self._tables = tables
        self._worker = worker
        self._reading = reading
        self._view = reading.view
        self._feed = feed
        self._draining = draining

    async def job(self, job_id: UUID, since: int | None) -> AsyncGenerator[JobEvent, None]:
        """One job: its state if it changed after `since`, then each change, to its end."""
        speech = _Speech(self._tables, self._worker)
        if since is not None or await self._has_ended(job_id):
            await speech.skip(job_id)
        if since is not None and not await self._reaches(since):
            since = None  # its state has to be told anew
        with self._feed.watch(job_id, speech=True) as watcher:
            while (job := await self._tables.get(job_id)) is not None:
                async for event in _news_of(job, since, speech):
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
        speech = _Speech(self._tables, self._worker)
        for job_id in self._worker.running_jobs():
            await speech.skip(job_id)
        with self._feed.watch(speech=True) as watcher:
            opening = await self._opening(since)
            yield opening
            stream = _Stream(self._tables, self._reading, watcher, speech, query)
            stream.since = opening.version or 0
            while True:
                async for event in stream.news():
                    yield event
                if self._draining():
                    return
                await asyncio.sleep(PAUSE)
                while not await watcher.news(ALIVE_EVERY):
                    yield JobEvent(kind=EventKind.ALIVE)

    async def _has_ended(self, job_id: UUID) -> bool:
        if self._worker.live(job_id) is not None:
            return False
        job = await self._tables.get(job_id)
        return job is None or job.done

    async def _opening(self, since: int | None) -> JobEvent:
        """From where a stream of all jobs goes on."""
        await self._reading.reach(await self._tables.last_version())
        if since is None:
            return JobEvent(kind=EventKind.POSITION, version=self._view.last_version)
        if not await self._reaches(since):
            return JobEvent(kind=EventKind.RESET, version=self._view.last_version)
        return JobEvent(kind=EventKind.POSITION, version=since)

    async def _reaches(self, since: int) -> bool:
        """Whether the tables still tell what has changed since, in this course of events."""
        _, last_removed = await self._tables.marks()
        last = await self._tables.last_version()
        return last_removed <= since <= last


class _Speech:
    """What coroutines have said that one watcher has not been told yet."""

    def __init__(self, tables: Tables, worker: Worker) -> None:
        self._tables = tables
        self._worker = worker
        self._progress: dict[UUID, Progress | None] = {}
        self._lines: dict[UUID, int] = {}

    async def of(self, job_id: UUID) -> list[JobEvent]:
        """The latest progress and the log lines, as far as they are news."""
        progress, lines = await self._said(job_id)
        events = []
        if progress is not None and progress != self._progress.get(job_id):
            events.append(JobEvent(kind=EventKind.PROGRESS, job_id=job_id, progress=progress))
        self._progress[job_id] = progress
        for line in lines:
            if line.number > self._lines.get(job_id, 0):
                self._lines[job_id] = line.number
                events.append(JobEvent(kind=EventKind.LOG, job_id=job_id, line=line))
        return events

    async def skip(self, job_id: UUID) -> None:
        """Take what was said so far as told."""
        await self.of(job_id)

    def forget(self, job_id: UUID) -> None:
        """The job has ended: it says no more."""
        self._progress.pop(job_id, None)
        self._lines.pop(job_id, None)

    async def _said(self, job_id: UUID) -> tuple[Progress | None, tuple[LogLine, ...]]:
        if (live := self._worker.live(job_id)) is not None:
            return live.last_progress, tuple(live.lines or ())
        return await self._tables.reports(job_id)


class _Stream:
    """The jobs that match a query, and up to which change one watcher has been told of them."""

    def __init__(
        self, tables: Tables, reading: Reading, watcher: Watcher, speech: _Speech, query: JobQuery
    ) -> None:
        self._tables = tables
        self._reading = reading
        self._view = reading.view
        self._watcher = watcher
        self._speech = speech
        self._query = query
        self.since = 0

    async def news(self) -> AsyncIterator[JobEvent]:
        """The state of each job that changed, in the order of changes, and what coroutines said."""
        await self._reading.catch_up()
        while jobs := await self._changed():
            for job in jobs:
                if job.done:
                    for event in await self._spoken():  # what it said last comes before its end
                        yield event
                    self._speech.forget(job.id)
                if matches(job, self._query):
                    yield _state_of(job)
                self.since = job.version
        for event in await self._spoken():
            yield event

    async def _changed(self) -> list[Job]:
        known = self._view.changed_since(self.since)
        if known is not None:
            return list(known)
        return list((await self._tables.changed_since(self.since + 1, _BATCH)).jobs)

    async def _spoken(self) -> list[JobEvent]:
        spoke, self._watcher.spoke = self._watcher.spoke, set()
        events = []
        for job_id in spoke:
            if await self._is_wanted(job_id):
                events += await self._speech.of(job_id)
        return events

    async def _is_wanted(self, job_id: UUID) -> bool:
        if self._query == JobQuery():
            return True
        job = self._view.unfinished(job_id) or await self._tables.get(job_id)
        return job is not None and matches(job, self._query)


async def _news_of(job: Job, since: int | None, speech: _Speech) -> AsyncIterator[JobEvent]:
    """Its state, if it changed after `since`, and what it said: before its end, after all else."""
    said = await speech.of(job.id)
    if job.done:
        for event in said:
            yield event
    if since is None or job.version > since:
        yield _state_of(job)
    if not job.done:
        for event in said:
            yield event


def _state_of(job: Job) -> JobEvent:
    kind = EventKind.DONE if job.done else EventKind.STATUS
    return JobEvent(kind=kind, version=job.version, job=job)
