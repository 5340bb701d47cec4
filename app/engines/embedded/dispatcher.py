"""Runs the jobs of the journal.

A state machine on the event loop: it decides synchronously and queues the change in the journal;
what follows from a change happens in its callback, once it is durable. So no coroutine begins and
nobody sees what a crash could take back.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from uuid import UUID

from app.engines.embedded.config import EmbeddedConfig
from app.engines.embedded.ends import Ended, Finish
from app.engines.embedded.journal import Journal
from app.engines.embedded.ready import ReadyQueue
from app.jobs.errors import StoreUnavailable
from app.jobs.feed import Feed
from app.jobs.ledger import Ledgers
from app.jobs.live import LiveJob, Speech
from app.jobs.models import ErrorType, Job, JobError, Millis
from app.jobs.registry import TaskRegistry
from app.jobs.runner import Attempt, Interruption, Limits, Outcome
from app.jobs.stored import lines_text
from app.scheduler import BackgroundTaskScheduler, Status
from app.scheduler.states import PENDING, RUNNING

log = logging.getLogger(__name__)

_LONGEST_TIMER: Final = 60.0
"""Seconds after which due times are looked at again, for the wall clock may have been set."""


class Dispatcher:
    """Starts pending jobs as slots allow, and writes how they ended.

    Calls `to_tell` when a job with a webhook has ended.
    """

    def __init__(
        self,
        registry: TaskRegistry,
        journal: Journal,
        config: EmbeddedConfig,
        feed: Feed,
        ledger: Ledgers,
        to_tell: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._journal = journal
        self._now = config.now
        self._feed = feed
        self._ledger = ledger
        self._to_tell = to_tell
        self._speech = Speech(config.now, feed.spoke)
        self._limits = Limits(
            max_result_size=config.max_result_size,
            now=config.now,
            random=config.random.random,
            exception_text=config.exception_text,
            trace=config.trace,
        )
        self._unknown_after: Millis = round(config.unknown_task_after * 1000)
        limits = {t.name: t.options.max_running for t in registry if t.options.max_running}
        self._queue = ReadyQueue(config.max_running, limits, config.max_running_of_owner)
        # Graceful endings are ours to tell apart: at its own close the scheduler only cancels.
        # An asyncio task for each, so that whatever a coroutine leaves behind reaches no other job.
        self._scheduler = BackgroundTaskScheduler(
            grace=0, cancel_grace=0, context=config.context, shares=False
        )
        self._live: dict[int, LiveJob] = {}
        """By the number of their id: to hash that takes a tenth of what a UUID takes."""
        self._unknown: dict[UUID, LiveJob] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._stopped_at: float | None = None
        self._interrupting = False
        self._closed = False
        self._idle: asyncio.Future[None] | None = None

    @property
    def pending(self) -> int:
        """How many jobs wait: for a slot, for their time, for their task to come back."""
        return len(self._queue.waiting) + len(self._unknown)

    def pending_of(self, owner: str | None) -> int:
        """How many jobs of an owner wait."""
        gone = sum(live.owner == owner for live in self._unknown.values())
        return self._queue.waiting_by(owner) + gone

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return self._queue.running

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return self._queue.max_running

    @property
    def limits(self) -> Limits:
        """What its attempts go by."""
        return self._limits

    def unknown_tasks(self) -> dict[str, int]:
        """The pending jobs whose task is not in the registry, by task."""
        return dict(Counter(live.task for live in self._unknown.values()))

    def live(self, job_id: UUID) -> LiveJob | None:
        """The job, if it has not finished."""
        return self._live.get(job_id.int)

    def running_jobs(self) -> list[UUID]:
        """The jobs whose coroutines run."""
        return [live.id for live in self._live.values() if live.attempt is not None]

    def take_slot(self, task: str, owner: str | None, run_at: Millis, now: Millis) -> bool:
        """Take a slot for a new job, if it can start at once and overtakes nobody."""
        overtakes = run_at > now or self._queue.has_due(now)
        return not overtakes and self._queue.take_slot(task, owner)

    def release_slot(self, job: Job) -> None:
        """Give back the slot of a job that was not accepted after all."""
        self._slot_free(job)

    def queue(self, job: Job) -> None:
        """A pending job of the journal; `dispatch` starts it in its turn."""
        live = self._live[job.id.int] = LiveJob(job, self._speech)
        if self._registry.get(job.task) is None:
            self._unknown[job.id] = live
        else:
            self._queue.push(live, self._now())

    def add(self, job: Job, arguments: dict[str, Any] | None = None) -> None:
        """A job that is in the journal from now on: pending, or running in a slot taken for it.

        `arguments` are what its params stand for, if that has just been found.
        """
        self._feed.changed(job.id)
        if job.status is RUNNING:
            live = self._live[job.id.int] = LiveJob(job, self._speech)
            self._begin(live, job, arguments)
        else:
            self.queue(job)
            self.dispatch()

    def dispatch(self) -> None:
        """Start what may start now, and see to it that the rest is looked at in time."""
        if self._stopped_at is not None or not self._queue.waiting:
            return
        now = self._now()
        for late in self._queue.late(now):
            self._queue.discard(late.id)
            self._fail(late, ErrorType.NOT_STARTED_IN_TIME, "no slot was free in time")
        while (live := self._queue.pop(now)) is not None:
            self._journal.start(live.id, live.number + 1, now, partial(self._started, live))
        self._set_timer(now)

    def cancelled(self, job_id: UUID, status: Status) -> None:
        """A cancel is on record: the job has ended with it, or its coroutine is to stop."""
        live = self._live.get(job_id.int)
        if live is not None and status.finished:
            self._ledger.moved(live, PENDING, status)
            self._forget(live)
        elif live is not None and live.attempt is not None:
            live.attempt.interrupt(Interruption.CANCEL)

    def fail_unknown(self) -> None:
        """Fail the jobs whose task has been gone for too long past their due time."""
        due = self._now() - self._unknown_after
        for live in tuple(self._unknown.values()):
            if live.run_at <= due:
                del self._unknown[live.id]
                text = f"there is no task {live.task!r} any more"
                self._fail(live, ErrorType.UNKNOWN_TASK, text)

    def stop(self) -> float:
        """Start nothing more; gives the loop's time since when that is so.

        Running jobs go on; pending ones wait for the next start.
        """
        if self._stopped_at is None:
            self._stopped_at = asyncio.get_running_loop().time()
        if self._timer is not None:
            self._timer.cancel()
        return self._stopped_at

    async def finish(self, grace: float, cancel_grace: float) -> None:
        """Let running jobs end, interrupt them after `grace`, leave them after `cancel_grace`.

        The grace counts from `stop`: what the server did meanwhile does not lengthen it.
        """
        since_stop = asyncio.get_running_loop().time() - self.stop()
        await self._wait_until_idle(max(0.0, grace - since_stop))
        self._interrupting = True
        for live in tuple(self._live.values()):
            if live.attempt is not None:
                live.attempt.interrupt(Interruption.SHUTDOWN)
        await self._wait_until_idle(cancel_grace)
        self._closed = True
        await self._scheduler.close()

    def _started(self, live: LiveJob, job: Job | None) -> None:
        if job is None:  # a cancel was quicker
            self._slot_free(live)
            return
        live.start_by = None
        self._ledger.moved(live, PENDING, RUNNING, job.started_at)
        self._feed.changed(live.id)
        self._begin(live, job)

    def _begin(self, live: LiveJob, job: Job, arguments: dict[str, Any] | None = None) -> None:
        if self._closed:  # its start took longer to write than every grace
            return
        live.number = job.attempt
        live.started_at = job.started_at
        live.last_progress = None
        if live.lines is None and job.attempt > 1:  # of the attempts before a restart
            with contextlib.suppress(StoreUnavailable):  # it is no reason not to run
                live.keep(self._journal.reader.lines(live.id))
        live.has_secrets = job.secrets is not None
        task = self._registry[job.task]
        live.attempt = Attempt(task, job, live, self._limits, partial(self._ended, live))
        live.attempt.start(self._scheduler, arguments)
        if self._interrupting:
            live.attempt.interrupt(Interruption.SHUTDOWN)

    def _ended(self, live: LiveJob, outcome: Outcome) -> None:
        if self._closed:  # it outlasted every grace: the next start applies the crash rule
            return
        ended = Ended(
            live.id, live.number, self._now(), outcome, live.has_secrets, live.has_webhook
        )
        lines = None if live.lines is None else lines_text(live.lines)
        finish = Finish(ended, self._journal.next_version(), lines)
        nobody_waits = not self._queue.waiting and not self._feed.is_watched(live.id)
        live.is_ending = True
        then = partial(self._finished, live, finish)
        self._journal.finish(finish, then, can_wait=nobody_waits)

    def _finished(self, live: LiveJob, finish: Finish, status: Status | None) -> None:
        attempt, live.attempt = live.attempt, None
        if status is not None:
            self._ledger.moved(live, RUNNING, status, live.started_at, finish.ended.at)
            if attempt is not None:
                self._journal.reader.recent.ended(attempt.job, finish, status)
        retry_at = finish.ended.outcome.retry_at
        if status is PENDING and retry_at is not None:
            live.run_at = retry_at
            self._queue.push(live, self._now())
        else:
            self._let_go(live)
        live.settled()
        self._feed.changed(live.id)
        self._slot_free(live)

    def _fail(self, live: LiveJob, kind: ErrorType, message: str) -> None:
        failed = partial(self._failed, live)
        self._journal.fail(live.id, self._now(), JobError(kind, message), failed)

    def _failed(self, live: LiveJob, status: Status | None) -> None:
        if status is not None:
            self._ledger.moved(live, PENDING, status)
        self._forget(live)
        self._feed.changed(live.id)

    def _forget(self, live: LiveJob) -> None:
        self._queue.discard(live.id)
        self._unknown.pop(live.id, None)
        self._let_go(live)

    def _let_go(self, live: LiveJob) -> None:
        self._live.pop(live.id.int, None)
        if live.has_webhook:
            self._to_tell()

    def _slot_free(self, job: Job | LiveJob) -> None:
        self._queue.release_slot(job.task, job.owner)
        if self._idle is not None and not self._queue.running and not self._idle.done():
            self._idle.set_result(None)
        self.dispatch()

    def _set_timer(self, now: Millis) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._queue.next_time()
        if due is not None:
            delay = min(max(0, due - now) / 1000, _LONGEST_TIMER)
            self._timer = asyncio.get_running_loop().call_later(delay, self.dispatch)

    async def _wait_until_idle(self, timeout: float) -> None:
        if self._queue.running:
            self._idle = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._idle,), timeout=timeout)
