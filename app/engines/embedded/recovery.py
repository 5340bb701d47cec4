"""What a start finds of the jobs that had not ended: those that wait, and those of a crash."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from app.engines.embedded.answers import STORE_TIMEOUT
from app.engines.embedded.dispatcher import Dispatcher
from app.engines.embedded.ends import Ended, Finish
from app.engines.embedded.journal import Journal
from app.jobs.feed import Feed
from app.jobs.ledger import Ledgers
from app.jobs.models import Job
from app.jobs.registry import TaskRegistry
from app.jobs.runner import crashed
from app.scheduler import Status
from app.scheduler.states import PENDING, RUNNING

log = logging.getLogger(__name__)


class Recovery:
    """Goes on from what the journal holds. Calls `to_tell` when a job has ended by it."""

    def __init__(
        self,
        registry: TaskRegistry,
        journal: Journal,
        dispatcher: Dispatcher,
        ledger: Ledgers,
        feed: Feed,
        to_tell: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._journal = journal
        self._dispatcher = dispatcher
        self._ledger = ledger
        self._feed = feed
        self._to_tell = to_tell

    async def recover(self, unfinished: Sequence[Job]) -> None:
        """Queue pending jobs in order; what was running has lost its attempt with the process."""
        writing = []
        for job in unfinished:
            if job.status is PENDING:
                self._dispatcher.queue(job)
            else:
                writing.append(self._write_crash(job))
        if unknown := self._dispatcher.unknown_tasks():
            log.warning("pending jobs wait for tasks that are not there: %s", unknown)
        if writing:  # a store that cannot be written is no reason not to serve what it holds
            await asyncio.wait(writing, timeout=STORE_TIMEOUT)

    def _write_crash(self, job: Job) -> asyncio.Future[None]:
        outcome = crashed(job, self._registry.get(job.task), self._dispatcher.limits)
        done: asyncio.Future[None] = self._journal.answers.new()
        ended = Ended(
            *(job.id, job.attempt, self._dispatcher.limits.now(), outcome),
            has_secrets=True,
            has_webhook=job.webhook is not None,
        )
        then = partial(self._written, job, ended, done)
        self._journal.finish(Finish(ended, self._journal.next_version()), then)
        return done

    def _written(
        self, job: Job, ended: Ended, done: asyncio.Future[None], status: Status | None
    ) -> None:
        done.set_result(None)
        if status is not None:
            self._ledger.moved(job, RUNNING, status, job.started_at, ended.at)
        self._feed.changed(job.id)
        self._to_tell()
        if status is PENDING and (retry_at := ended.outcome.retry_at) is not None:
            self._dispatcher.add(replace(job, status=status, run_at=retry_at))
