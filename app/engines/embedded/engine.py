"""The embedded engine: scheduler and journal in one process, under one lock."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from functools import partial
from types import TracebackType
from typing import BinaryIO, Final, Self
from uuid import UUID

from msgspec.structs import replace

from app.engines.embedded.answers import Answers, refuse, resolve
from app.engines.embedded.changes import Cancelled
from app.engines.embedded.config import EmbeddedConfig
from app.engines.embedded.deliveries import JournalDeliveries
from app.engines.embedded.dispatcher import Dispatcher
from app.engines.embedded.housekeeping import Housekeeping
from app.engines.embedded.journal import Journal
from app.engines.embedded.reader import Reader
from app.engines.embedded.recovery import Recovery
from app.engines.embedded.submissions import Submissions
from app.engines.embedded.watching import WatchedJournal
from app.jobs.errors import JobsError, ShuttingDown, VersionMismatch
from app.jobs.events import Inspection, JobEvent, Watch
from app.jobs.feed import Feed
from app.jobs.figures import Figures
from app.jobs.ledger import REMEMBERED, Ledgers
from app.jobs.live import LiveJob
from app.jobs.models import EngineHealth, Job, JobQuery, NewJob, Page, Submitted
from app.jobs.registry import TaskRegistry
from app.jobs.watchdog import Watchdog
from app.jobs.watching import Watching
from app.scheduler.states import RUNNING

log = logging.getLogger(__name__)

SETTLES_WITHIN: Final = 0.05
"""Seconds that who asks for a job waits at most for its outcome to be on disk."""


class EmbeddedEngine:
    """An `Engine` on one SQLite file. The port says what each method promises."""

    def __init__(self, registry: TaskRegistry, config: EmbeddedConfig) -> None:
        self._registry = registry
        self._config = config
        retention = round(config.retention * 1000)
        self._journal = Journal(config.folder, retention, config.make_writer)
        self._feed = Feed()
        self._ledger = Ledgers(config.now)
        self.deliveries = JournalDeliveries(self._journal, config.now)
        """What is to be told by webhooks."""
        self._dispatcher = Dispatcher(
            registry, self._journal, config, self._feed, self._ledger, self.deliveries.news.set
        )
        self._submissions = Submissions(
            registry, self._journal, self._dispatcher, self._ledger, config
        )
        watched = WatchedJournal(self._journal, self._dispatcher)
        self._watching = Watching(watched, self._feed, lambda: self._draining)
        self._recovery = Recovery(
            *(registry, self._journal, self._dispatcher, self._ledger, self._feed),
            self.deliveries.news.set,
        )
        self._watchdog = Watchdog()
        self._housekeeping = Housekeeping(self._journal, self._dispatcher, self._ledger, config)
        self._asking: Answers | None = None
        """Those who ask for a job whose outcome is on its way to the disk."""
        self._draining = False

    async def __aenter__(self) -> Self:
        """Open the journal, recover what a crash left, start running jobs."""
        unfinished = self._journal.open(self._config.lock_wait, self._look)
        self._asking = Answers(SETTLES_WITHIN, lambda asks: resolve(asks, None))
        self._submissions.continue_after(self._journal.newest_id)
        try:
            await self._recovery.recover(unfinished)
        except BaseException:
            await self._journal.close()
            raise
        if self._config.watch_loop:
            self._watchdog.start()
        self._dispatcher.dispatch()
        self._housekeeping.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drain, interrupt what is left, write the outcomes and close the journal."""
        self.drain()
        try:
            await self._dispatcher.finish(self._config.shutdown_grace, self._config.cancel_grace)
            await self._housekeeping.stop()
        finally:
            await self._journal.close()
            self._watchdog.stop()
            if self._asking is not None:
                self._asking.close()

    async def replay(self, new: NewJob) -> Submitted | None:
        """The job of the same key, if the submission has one that is known."""
        known = await self._submissions.known(new)
        return None if known is None else Submitted(self._with_progress(known), replayed=True)

    async def submit(self, new: NewJob) -> Submitted:
        """Accept a job, or find that of the same key; durable when it returns."""
        has_key = new.idempotency_key is not None
        if has_key and (known := await self.replay(new)):
            return known
        if self._draining:
            raise ShuttingDown
        accepted = self._submissions.accept(new)
        return Submitted(await self._journal.answers.wait(accepted, shared=has_key))

    async def get(self, job_id: UUID, *, owner: str | None = None) -> Job:
        """The job as it was last committed, with the progress of its running attempt.

        Waits a moment for an outcome that is on its way to the disk: whoever polls need not ask
        again, and is told no less than what is durable.
        """
        live = self._dispatcher.live(job_id)
        if live is not None and live.is_ending and owner in (None, live.owner):
            await self._settled(live)
        return self._as_it_stands(job_id, owner)

    async def list(self, query: JobQuery) -> Page[Job]:
        """A page of jobs, newest first."""
        page = self._journal.reader.list(query)
        return Page([self._with_progress(job) for job in page.items], page.next)

    async def cancel(self, job_id: UUID, *, if_version: int | None = None) -> Job:
        """Ask a job to stop, durable when it returns; a finished one is returned unchanged."""
        job = self._as_it_stands(job_id)
        if job.done and if_version in (None, job.version):
            return job  # final, so that nothing needs to be written
        done: asyncio.Future[Job] = self._journal.answers.new()
        then = partial(self._cancel_recorded, job_id, done)
        now = self._config.now()
        self._journal.request_cancel(job_id, now, if_version, then, partial(refuse, done))
        return await self._journal.answers.wait(done)

    async def wait(self, job_id: UUID, *, timeout: float, since: int | None = None) -> Job:
        """The job once it has ended, or its version is not `since`, or time has run out."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        self._journal.hurry()
        with self._feed.watch(job_id) as watcher:
            if since is None and not self._draining and self._dispatcher.live(job_id) is not None:
                await watcher.news(timeout)  # it has not ended, so there is nothing to read yet
            while True:
                job = self._as_it_stands(job_id)
                left = deadline - loop.time()
                changed = since is not None and job.version != since
                if job.done or changed or left <= 0 or self._draining:
                    return job
                await watcher.news(left)

    async def check(self, new: NewJob) -> None:
        """Raise what `submit` would raise about the submission itself; create nothing."""
        self._submissions.check(new)

    async def inspect(self, job_id: UUID, *, frames: bool = True) -> Inspection:
        """Where a running job awaits, and its log lines."""
        job = self._as_it_stands(job_id)
        live = self._dispatcher.live(job_id)
        if live is None or live.lines is None:
            lines = self._journal.reader.lines(job_id)
        else:
            lines = tuple(live.lines)
        return Inspection(job, live.frames() if live is not None and frames else None, lines)

    def watch(self, watch: Watch) -> AsyncGenerator[JobEvent, None]:
        """The events of one job, to its end, or of all that match, until the engine drains."""
        return self._watching.events(watch)

    async def backup(self) -> BinaryIO:
        """A consistent copy of the journal, gone once it is closed."""
        return await self._journal.backups.make()

    async def figures(self, owner: str | None = None) -> Figures:
        """Counts, rates and durations of an owner's jobs, or of everybody's, and slots."""
        ledger = self._ledger.of(owner)
        return Figures(
            engine="embedded",
            workers=1,
            since=self._ledger.since,
            jobs=ledger.jobs(),
            slots=self._dispatcher.slots,
            slots_taken=self._dispatcher.running,
            oldest_pending=self._journal.reader.oldest_pending(owner),
            loop_lag=self._housekeeping.loop_lag,
            loop_blocked=self._watchdog.times,
            loop_blocked_seconds=self._watchdog.seconds,
            minutes=ledger.minutes(),
            quarter_hours=ledger.quarter_hours(),
            tasks=ledger.tasks(),
            observer=self._ledger.observer,
            commits=self._journal.commits,
        )

    def expected(self, job: Job) -> float | None:
        """Seconds until the job should end, by what earlier ones took; None if none is known."""
        return self._ledger.expected(job)

    def drain(self) -> None:
        """Take no more submissions and let every waiter go; running jobs go on."""
        self._draining = True
        self._dispatcher.stop()
        self._feed.wake_all()

    @property
    def has_owners(self) -> bool:
        """Whether any job that it knows of, or has known of since it was opened, has an owner."""
        return self._ledger.has_owners

    def health(self) -> EngineHealth:
        """Whether it accepts work, and what it holds."""
        reason = "shutting down" if self._draining else self._journal.error
        return EngineHealth(
            ready=reason is None,
            reason=reason,
            pending=self._dispatcher.pending,
            running=self._dispatcher.running,
            unknown_tasks=self._dispatcher.unknown_tasks(),
        )

    def _settled(self, live: LiveJob) -> asyncio.Future[None]:
        """Done once the job's outcome is on disk, or the store fails or is slow."""
        assert self._asking is not None, "no job ends before the engine is open"
        told: asyncio.Future[None] = self._asking.new()
        if self._journal.error is not None:
            told.set_result(None)
            return told
        live.asking = [*(live.asking or ()), told]
        return self._asking.wait(told)

    def _as_it_stands(self, job_id: UUID, owner: str | None = None) -> Job:
        return self._with_progress(self._journal.reader.require(job_id, owner))

    def _with_progress(self, job: Job) -> Job:
        if job.status is not RUNNING:
            return job
        live = self._dispatcher.live(job.id)
        if live is None or live.last_progress is None:
            return job
        return replace(job, progress=live.last_progress)

    def _cancel_recorded(
        self, job_id: UUID, done: asyncio.Future[Job], met: Cancelled | None
    ) -> None:
        """Answer with what is on record by now: later the journal may be closed."""
        if met is not None and met.matched:
            self._dispatcher.cancelled(job_id, met.status)
            self._feed.changed(job_id)
        try:
            if met is not None and not met.matched:
                raise VersionMismatch(job_id)
            resolve(done, self._with_progress(self._journal.reader.require(job_id)))
        except JobsError as error:
            refuse(done, error)

    def _look(self, reader: Reader) -> None:
        tasks = [task.name for task in self._registry]
        durations = {task: reader.durations(task, REMEMBERED) for task in tasks}
        self._ledger.load(reader.counts(), durations)
        self._ledger.observer.expect(tasks)
