"""The distributed engine: jobs in PostgreSQL, for any number of processes that run them."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import BinaryIO, Final, Self
from uuid import UUID

import psycopg
from msgspec.structs import replace

from app.engines.postgres.clock import Clock
from app.engines.postgres.config import PostgresConfig
from app.engines.postgres.connections import open_schema
from app.engines.postgres.deliveries import TableDeliveries
from app.engines.postgres.heartbeat import Heartbeat
from app.engines.postgres.housekeeping import Housekeeping
from app.engines.postgres.listener import Listener
from app.engines.postgres.migrations import first_line
from app.engines.postgres.reading import Reading
from app.engines.postgres.rows import SUMMARY, job_of
from app.engines.postgres.stacks import Stacks
from app.engines.postgres.submissions import Submissions
from app.engines.postgres.tables import Tables
from app.engines.postgres.view import View
from app.engines.postgres.watching import WatchedTables
from app.engines.postgres.worker import Worker
from app.jobs.errors import NoBackup, ShuttingDown, StartUpError, StoreUnavailable, VersionMismatch
from app.jobs.events import Inspection, JobEvent, Watch
from app.jobs.feed import Feed
from app.jobs.figures import Figures
from app.jobs.models import EngineHealth, Job, JobQuery, NewJob, Page, Submitted
from app.jobs.registry import TaskRegistry
from app.jobs.watchdog import Watchdog
from app.jobs.watching import Watching
from app.scheduler import Status

_CANCEL: Final = f"SELECT {SUMMARY} FROM cancel(%s, %s, %s) AS j"


class PostgresEngine:
    """An `Engine` on PostgreSQL. The port says what each method promises."""

    def __init__(self, registry: TaskRegistry, config: PostgresConfig) -> None:
        clock = Clock(config.now)
        self._config = config = dataclasses.replace(config, now=clock)
        self._retention = round(config.retention * 1000)
        self._feed = Feed()
        self._tables = Tables(config.url, self._retention)
        self.deliveries = TableDeliveries(self._tables, config.now)
        """What is to be told by webhooks."""
        self._view = View(config.now)
        self._worker = Worker(registry, config, self._changed, self._feed.spoke)
        self._house = Housekeeping(registry, self._tables, self._worker, self._view, clock, config)
        self._submissions = Submissions(
            registry, self._tables, self._worker, self._view, self._house, config
        )
        self._reading = Reading(self._tables, self._view, self._feed, registry)
        self._stacks = Stacks(self._tables, self._worker)
        self._listener = Listener(
            config.url, self._channels(), self._back, self._worker.writer.hurry
        )
        self._heartbeat = Heartbeat(
            config.url,
            min(config.stall_after / 6, 5.0),
            (config.max_running, [task.name for task in registry]),
            self._worker.begin,
            self._worker.lost,
        )
        self._worker.doubts = self._heartbeat.doubt
        self._tables.is_away = self._worker.writer.is_away = lambda: self._away is not None
        watched = WatchedTables(self._tables, self._worker, self._reading)
        self._watching = Watching(watched, self._feed, lambda: self._draining)
        self._watchdog = Watchdog()
        self._draining = False

    async def __aenter__(self) -> Self:
        """Connect, learn what there is, start to work. Raises `StartUpError`."""
        await open_schema(self._config.url)
        if self._config.watch_loop:
            self._watchdog.start()
        try:
            await self._open()
        except BaseException as error:
            await self._leave(0.0, 0.0)
            if not isinstance(error, (psycopg.Error, StoreUnavailable)):
                raise
            raise StartUpError(f"the database cannot be used: {first_line(error)}") from error
        return self

    async def _open(self) -> None:
        await self._tables.open()
        await self._house.look_around()
        await self._listener.open()
        if self._config.serves:
            await self._reading.start()
            self._submissions.continue_after(await self._tables.newest_id())
        await self._worker.writer.open()
        if self._config.works:
            await self._heartbeat.start()
        await self._house.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drain, interrupt what is left, write the outcomes, leave the cluster."""
        await self._leave(self._config.shutdown_grace, self._config.cancel_grace)

    async def _leave(self, grace: float, cancel_grace: float) -> None:
        self.drain()
        try:
            await self._worker.finish(grace, cancel_grace)
            await self._house.stop()
            await self.deliveries.let_go()
            await self._worker.writer.close()
        finally:
            await self._submissions.close()
            await self._heartbeat.stop()
            await self._reading.stop()
            await self._listener.close()
            await self._tables.close()
            self._watchdog.stop()

    async def replay(self, new: NewJob) -> Submitted | None:
        """The job of the same key, if the submission has one that is known."""
        known = await self._submissions.known(new)
        return None if known is None else Submitted(self._with_progress(known), replayed=True)

    async def submit(self, new: NewJob) -> Submitted:
        """Accept a job, or find that of the same key; durable when it returns."""
        if known := await self.replay(new):
            return known
        if self._draining:
            raise ShuttingDown
        return await self._submissions.accept(new, await self._submissions.check(new))

    async def get(self, job_id: UUID, *, owner: str | None = None) -> Job:
        """The job as it was last committed, with the progress of its running attempt."""
        job = await self._tables.require(job_id, owner)
        if self._config.serves:
            self._view.know(job)  # what was answered once counts from then on
        return self._with_progress(job)

    async def list(self, query: JobQuery) -> Page[Job]:
        """A page of jobs, newest first."""
        page = await self._tables.list(query)
        return Page([self._with_progress(job) for job in page.items], page.next)

    async def cancel(self, job_id: UUID, *, if_version: int | None = None) -> Job:
        """Ask a job to stop, durable when it returns; a finished one is returned unchanged."""
        values = (job_id, self._config.now(), if_version)
        rows = await self._worker.writer.make(_CANCEL, values)
        for row in rows:
            self._changed(job_of(row, self._retention))
            self._worker.cancelled(job_id)
        job = await self.get(job_id)
        if not rows:
            raise VersionMismatch(job_id)
        return job

    async def wait(self, job_id: UUID, *, timeout: float, since: int | None = None) -> Job:
        """The job once it has ended, or its version is not `since`, or time has run out."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        with self._feed.watch(job_id) as watcher:
            while True:
                job = await self.get(job_id)
                left = deadline - loop.time()
                changed = since is not None and job.version != since
                if job.done or changed or left <= 0 or self._draining:
                    return job
                await watcher.news(left)

    async def check(self, new: NewJob) -> None:
        """Raise what `submit` would raise about the submission itself; create nothing."""
        await self._submissions.check(new)

    async def inspect(self, job_id: UUID, *, frames: bool = True) -> Inspection:
        """Where a running job awaits, unless no `frames` are wanted, and its log lines."""
        job = await self.get(job_id)
        live = self._worker.live(job_id)
        if live is None or live.lines is None:
            _, lines = await self._tables.reports(job_id)
        else:
            lines = tuple(live.lines)
        seen = await self._stacks.of(job) if frames else None
        if frames and seen is None and job.status is Status.RUNNING:
            job = await self.get(job_id)  # it has ended meanwhile
        return Inspection(job, seen, lines)

    def watch(self, watch: Watch) -> AsyncGenerator[JobEvent, None]:
        """The events of one job, to its end, or of all that match, until the engine drains."""
        return self._watching.events(watch)

    async def backup(self) -> BinaryIO:
        """Refused: a backup of PostgreSQL is PostgreSQL's own."""
        raise NoBackup("the jobs are in PostgreSQL: back it up with its own tools, such as pg_dump")

    async def figures(self, owner: str | None = None) -> Figures:
        """Counts, rates and durations of an owner's jobs, or of everybody's, and slots."""
        await self._house.count_workers()
        ledger = self._view.ledger.of(owner)
        return Figures(
            engine="postgres",
            workers=self._house.workers,
            since=self._view.ledger.since,
            jobs=ledger.jobs(),
            slots=self._house.slots,
            slots_taken=self._view.running,
            oldest_pending=await self._tables.oldest_pending(owner),
            loop_lag=self._house.loop_lag,
            loop_blocked=self._watchdog.times,
            loop_blocked_seconds=self._watchdog.seconds,
            minutes=ledger.minutes(),
            quarter_hours=ledger.quarter_hours(),
            tasks=ledger.tasks(),
            observer=self._view.ledger.observer,
            commits=self._worker.writer.commits,
        )

    def expected(self, job: Job) -> float | None:
        """Seconds until the job should end, by what earlier ones took; None if none is known."""
        return self._view.ledger.expected(job)

    def drain(self) -> None:
        """Take no more submissions and let every waiter go; running jobs go on."""
        self._draining = True
        self._worker.stop()
        self._feed.wake_all()

    @property
    def _away(self) -> str | None:
        """Why the database is known not to answer; None while all is well."""
        return self._worker.writer.error or self._listener.error

    @property
    def has_owners(self) -> bool:
        """Whether any job that it knows of, or has known of since it was opened, has an owner."""
        return self._view.ledger.has_owners

    def health(self) -> EngineHealth:
        """Whether it accepts work, and what the cluster holds."""
        reason = "shutting down" if self._draining else self._away
        return EngineHealth(
            ready=reason is None,
            reason=reason,
            pending=self._view.pending,
            running=self._view.running,
            unknown_tasks=self._house.unknown_tasks(),
        )

    def _with_progress(self, job: Job) -> Job:
        live = self._worker.live(job.id) if job.status is Status.RUNNING else None
        if live is None or live.number != job.attempt or live.last_progress is None:
            return job
        return replace(job, progress=live.last_progress)

    def _changed(self, job: Job) -> None:
        """A change that this process has made is committed."""
        if self._config.serves:
            self._view.know(job)
            self._feed.changed(job.id)

    def _channels(self) -> dict[str, Callable[[str], None]]:
        """What is to be heard of, and who is told."""
        heard: dict[str, Callable[[str], None]] = {
            "awaitd_workers": lambda _: self._house.workers_changed(),
            "awaitd_deliveries": lambda _: self.deliveries.news.set(),
        }
        if self._config.works:
            heard |= {
                "procrastinate_any_queue_v1": self._worker.dispatched,
                "awaitd_cancels": lambda job_id: self._worker.look_at([UUID(job_id)]),
                "awaitd_asked": self._stacks.asked,
            }
        if self._config.serves:
            heard |= {
                "awaitd_jobs": self._changed_by_anybody,
                "awaitd_reports": lambda job_id: self._feed.spoke(UUID(job_id)),
                "awaitd_removed": lambda _: self._reading.removed(),
                "awaitd_shown": self._stacks.shown,
            }
        return heard

    def _changed_by_anybody(self, name: str) -> None:
        self._reading.wake()
        self._feed.changed(UUID(name))

    def _back(self) -> None:
        """What was said meanwhile was not heard: everybody is to look for themselves."""
        self._reading.missed()
        self._house.workers_changed()
        self.deliveries.news.set()
        self._worker.wake()
        self._feed.wake_all()
        self._worker.look_at(self._worker.running_jobs())
