"""What those who watch jobs are told, and when."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Final, Protocol
from uuid import UUID

from app.jobs.events import EventKind, JobEvent, LogLine, Watch
from app.jobs.feed import Feed, Watcher
from app.jobs.live import LiveJob
from app.jobs.models import Job, JobQuery, Progress
from app.jobs.queries import matches

ALIVE_EVERY: Final = 15.0
"""Seconds without an event after which a stream says that it is alive."""

PAUSE: Final = 0.05
"""Seconds between two looks at what coroutines report: what is said more often is skipped."""


class Watched(Protocol):
    """What an engine is asked about what there is to tell: what it has committed."""

    def live(self, job_id: UUID) -> LiveJob | None:
        """The job, if it runs in this process."""

    def running_jobs(self) -> Sequence[UUID]:
        """The jobs that run in this process."""

    async def begin(self) -> None:
        """Somebody has begun to watch."""

    async def get(self, job_id: UUID) -> Job | None:
        """The job as it is."""

    async def known(self, job_id: UUID) -> Job | None:
        """The job, maybe as it was a moment ago."""

    async def reports(self, job_id: UUID) -> tuple[Progress | None, Sequence[LogLine]]:
        """The progress and the log lines of a job that does not run in this process."""

    async def position(self) -> int:
        """The last change number of what is told by now."""

    async def reaches(self, since: int) -> bool:
        """Whether it still tells what has changed since, in this course of events."""

    async def changed_since(self, version: int) -> Sequence[Job]:
        """Some of the jobs that have changed since, in the order of their last change."""


class Watching:
    """Turns news into events. A stream ends with its job, or when `draining` says so."""

    def __init__(self, watched: Watched, feed: Feed, draining: Callable[[], bool]) -> None:
        self._watched = watched
        self._feed = feed
        self._draining = draining

    def events(self, watch: Watch) -> AsyncGenerator[JobEvent, None]:
        """What is to be told of one job, or of all that match."""
        if watch.job_id is None:
            return self._all(watch.query, watch.since)
        return self._job(watch.job_id, watch.since)

    async def _job(self, job_id: UUID, since: int | None) -> AsyncGenerator[JobEvent, None]:
        """One job: its state if it changed after `since`, then each change, to its end."""
        speech = _Speech(self._watched)
        if since is not None or await self._has_ended(job_id):
            await speech.skip(job_id)
        if since is not None and not await self._watched.reaches(since):
            since = None  # its state has to be told anew
        await self._watched.begin()
        with self._feed.watch(job_id, speech=True) as watcher:
            while (job := await self._watched.get(job_id)) is not None:
                async for event in _news_of(job, since, speech):
                    yield event
                if job.done or self._draining():
                    return
                if since == job.version:  # only its coroutine spoke
                    await asyncio.sleep(PAUSE)
                since = job.version
                while not await watcher.news(ALIVE_EVERY):
                    yield JobEvent(kind=EventKind.ALIVE)

    async def _all(self, query: JobQuery, since: int | None) -> AsyncGenerator[JobEvent, None]:
        """All jobs that match: those changed after `since`, then each change, until the end."""
        speech = _Speech(self._watched)
        for job_id in self._watched.running_jobs():
            await speech.skip(job_id)
        await self._watched.begin()
        with self._feed.watch(speech=True) as watcher:
            opening = await self._opening(since)
            yield opening
            stream = _Stream(self._watched, watcher, speech, query, opening.version or 0)
            while True:
                async for event in stream.news():
                    yield event
                if self._draining():
                    return
                await asyncio.sleep(PAUSE)
                while not await watcher.news(ALIVE_EVERY):
                    yield JobEvent(kind=EventKind.ALIVE)

    async def _has_ended(self, job_id: UUID) -> bool:
        if self._watched.live(job_id) is not None:
            return False
        job = await self._watched.get(job_id)
        return job is None or job.done

    async def _opening(self, since: int | None) -> JobEvent:
        """From where a stream of all jobs goes on."""
        now = await self._watched.position()
        if since is None:
            return JobEvent(kind=EventKind.POSITION, version=now)
        if not await self._watched.reaches(since):
            return JobEvent(kind=EventKind.RESET, version=now)
        return JobEvent(kind=EventKind.POSITION, version=since)


class _Speech:
    """What coroutines have said that one watcher has not been told yet."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
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

    async def _said(self, job_id: UUID) -> tuple[Progress | None, Sequence[LogLine]]:
        if (live := self._watched.live(job_id)) is not None:
            return live.last_progress, tuple(live.lines or ())
        return await self._watched.reports(job_id)


class _Stream:
    """The jobs that match a query, and up to which change one watcher has been told of them."""

    def __init__(
        self, watched: Watched, watcher: Watcher, speech: _Speech, query: JobQuery, since: int
    ) -> None:
        self._watched = watched
        self._watcher = watcher
        self._speech = speech
        self._query = query
        self._since = since

    async def news(self) -> AsyncIterator[JobEvent]:
        """The state of each job that changed, in the order of changes, and what coroutines said."""
        while jobs := await self._watched.changed_since(self._since):
            for job in jobs:
                if job.done:
                    for event in await self._spoken():  # what it said last comes before its end
                        yield event
                    self._speech.forget(job.id)
                if matches(job, self._query):
                    yield _state_of(job)
                self._since = job.version
        for event in await self._spoken():
            yield event

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
        job = await self._watched.known(job_id)
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
