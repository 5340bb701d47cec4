"""Runs jobs: claims what may start, writes how it ended.

No coroutine takes its first step before the row that says so is committed, and every outcome is
written on the condition that this attempt is still the one that runs.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from app.engines.postgres.config import PostgresConfig
from app.engines.postgres.reports import Reports
from app.engines.postgres.rows import COLUMNS, SUMMARY, job_of
from app.engines.postgres.turns import Turns
from app.engines.postgres.writer import Change, Rows, Writer
from app.jobs.errors import StoreUnavailable
from app.jobs.live import LiveJob, Speech
from app.jobs.models import Job
from app.jobs.registry import TaskRegistry
from app.jobs.runner import Attempt, Interruption, Limits, Outcome
from app.jobs.stored import error_text, lines_of, lines_text
from app.scheduler import BackgroundTaskScheduler, Status

log = logging.getLogger(__name__)

_SOON: Final = 60.0
"""Seconds ahead that a due time of our own gets a timer; polls find what is later."""

_LOOKS: Final = 10
"""Looks for what is due to one for what was claimed unknowingly: the server may commit a claim
long after the connection was lost on which it was asked to."""

_KEPT: Final = "LEFT JOIN secrets s ON s.id = j.id LEFT JOIN reports r ON r.id = j.id"
_CLAIM: Final = (
    f"SELECT {COLUMNS}, s.params, r.lines "
    "FROM claim(%s, %s, %s, %s::text[], %s::text[], %s::integer[], %s) WITH ORDINALITY AS j "
    f"{_KEPT} ORDER BY j.ordinality"
)
_MINE: Final = (
    f"SELECT {COLUMNS}, s.params, r.lines FROM jobs j {_KEPT} WHERE j.status = 1 AND j.worker = %s"
)
_CANCELS: Final = (
    "SELECT id FROM jobs WHERE id = ANY(%s) AND status = 1 AND cancel_requested_at IS NOT NULL"
)
FINISH: Final = f"SELECT {SUMMARY} FROM finish(%s, %s, %s, %s, %s, %s, %s, %s, %s) AS j"


def finish_values(
    job_id: UUID, attempt: int, now: int, outcome: Outcome, lines: str | None = None
) -> tuple[Any, ...]:
    """What `FINISH` needs."""
    return (
        *(job_id, attempt, now, outcome.step.value, outcome.returned),
        *(error_text(outcome.raised), error_text(outcome.error), outcome.retry_at, lines),
    )


class Worker:
    """The attempts of one process. `changed` is told of each change that is committed."""

    def __init__(
        self,
        registry: TaskRegistry,
        config: PostgresConfig,
        changed: Callable[[Job], None],
        spoke: Callable[[UUID], None],
    ) -> None:
        self._registry = registry
        self._config = config
        self._retention = round(config.retention * 1000)
        self.changed = changed
        """Told of each change that is committed."""
        self._spoke = spoke
        self._speech = Speech(config.now, self._heard)
        self.limits = Limits(
            max_result_size=config.max_result_size,
            now=config.now,
            random=config.random.random,
            exception_text=config.exception_text,
            trace=config.trace,
        )
        """What its attempts go by."""
        limited = sorted(task.name for task in registry if task.options.max_running)
        self._open = [task.name for task in registry if task.name not in limited]
        self._limited = limited, [registry[name].options.max_running for name in limited]
        self._scheduler = BackgroundTaskScheduler(grace=0, cancel_grace=0, context=config.context)
        self._writer = Writer(config.url, self.claim)
        self._live: dict[UUID, LiveJob] = {}
        self._reports = Reports(self._live.get, self._writer)
        self._wants = self._claiming = self._adopts = False
        self._id: int | None = None
        self.turns = Turns(self.wake)
        """When it is this worker's turn to claim."""
        self._stopped_at: float | None = None
        self._interrupting = False
        self._closed = False
        self._idle: asyncio.Future[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self.doubts: Callable[[], None] = lambda: None
        """Called when it may have been taken for dead."""

    @property
    def writer(self) -> Writer:
        """Makes the changes of this process."""
        return self._writer

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return len(self._live)

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return self._config.max_running if self._config.works else 0

    def live(self, job_id: UUID) -> LiveJob | None:
        """The job, if it runs here."""
        return self._live.get(job_id)

    def running_jobs(self) -> list[UUID]:
        """The jobs whose coroutines run here."""
        return list(self._live)

    def begin(self, worker_id: int) -> None:
        """Claim jobs as the worker of this number."""
        self._id = worker_id
        self._reports.begin()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="awaitd-worker")
        self.wake()

    def lost(self) -> None:
        """This worker was taken for dead: others have its jobs. Its coroutines are to stop."""
        self._id = None
        for live in tuple(self._live.values()):
            if live.attempt is not None:
                log.warning("job %s is no longer this worker's", live.id)
                live.attempt.interrupt(Interruption.SHUTDOWN)

    def wake(self, due_in: float = 0.0) -> None:
        """There may be something to start, `due_in` seconds from now."""
        if due_in <= 0:
            self._wants = True
            self._writer.wake()
        elif due_in < _SOON:
            asyncio.get_running_loop().call_later(due_in, self.wake)

    def dispatched(self, said: str) -> None:
        """There is something to start: at once if it is this worker's turn, else soon."""
        self.turns.dispatched(said, self._id)

    def claim(self) -> Change | None:
        """What asks for as many jobs as there are free slots."""
        free = self.slots - len(self._live)
        if not self._wants or free <= 0 or self._id is None or self._stopped_at is not None:
            return None
        self._wants, self._claiming = False, True
        self.turns.claims()
        if self._adopts:  # in turn with the outcomes, lest one that has just ended begins again
            return Change(_MINE, (self._id,), self._adopted, self._not_claimed, again=False)
        asked = min(free, 100)
        values = (
            *(self._id, asked, self._config.now(), self._open, *self._limited),
            self._config.max_running_of_owner,
        )
        return Change(_CLAIM, values, partial(self._claimed, asked), self._not_claimed, again=False)

    def cancelled(self, job_id: UUID) -> None:
        """A cancel is on record: its coroutine is to stop, if it runs here."""
        live = self._live.get(job_id)
        if live is not None and live.attempt is not None:
            live.attempt.interrupt(Interruption.CANCEL)

    def look_at(self, job_ids: Iterable[UUID]) -> None:
        """Stop those of the jobs that run here for which a cancel is on record.

        In turn with claims: what is being started may be known here later than its cancel.
        """
        if here := [i for i in job_ids if i in self._live or self._claiming]:
            self._writer.queue(Change(_CANCELS, (here,), self._are_to_stop))

    def _are_to_stop(self, rows: Rows) -> None:
        for (job_id,) in rows:
            self.cancelled(job_id)

    def stop(self) -> float:
        """Claim nothing more; gives the loop's time since when that is so. Running jobs go on."""
        if self._stopped_at is None:
            self._stopped_at = asyncio.get_running_loop().time()
        return self._stopped_at

    async def finish(self, grace: float, cancel_grace: float) -> None:
        """Let running jobs end, interrupt them after `grace`, leave them after `cancel_grace`."""
        since_stop = asyncio.get_running_loop().time() - self.stop()
        await self._wait_until_idle(max(0.0, grace - since_stop))
        self._interrupting = True
        for live in tuple(self._live.values()):
            if live.attempt is not None:
                live.attempt.interrupt(Interruption.SHUTDOWN)
        await self._wait_until_idle(cancel_grace)
        self._closed = True
        self._reports.stop()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))
        await self._scheduler.close()

    def _claimed(self, asked: int, rows: Rows) -> None:
        self._claiming = False
        if len(rows) == asked:
            self.wake()
        self._start(rows)

    def _not_claimed(self, _: StoreUnavailable) -> None:
        """It may have been made all the same: then there are jobs that only the tables know."""
        self._adopts, self._claiming = True, False
        self.doubts()

    def _start(self, rows: Iterable[Any]) -> None:
        for *row, secrets, lines in rows:
            job = job_of(row, self._retention)
            known = self._live.get(job.id)
            if self._closed or (known is not None and known.number == job.attempt):
                continue
            live = self._live[job.id] = LiveJob(job, self._speech)
            if lines is not None:
                live.keep(lines_of(lines))
            self.changed(job)
            secret = None if secrets is None else bytes(secrets)
            self._begin(live, replace(job, secrets=secret))

    def _begin(self, live: LiveJob, job: Job) -> None:
        live.has_secrets = job.secrets is not None
        live.attempt = Attempt(
            self._registry[job.task], job, live, self.limits, partial(self._ended, live)
        )
        live.attempt.start(self._scheduler)
        if self._interrupting:
            live.attempt.interrupt(Interruption.SHUTDOWN)
        elif job.cancel_requested_at is not None:
            live.attempt.interrupt(Interruption.CANCEL)

    def _ended(self, live: LiveJob, outcome: Outcome) -> None:
        if self._closed:  # it outlasted every grace: the crash rule is for others to apply
            return
        self._reports.forget(live.id)
        values = finish_values(
            live.id, live.number, self._config.now(), outcome, lines_text(live.lines)
        )
        self._writer.queue(Change(FINISH, values, partial(self._finished, live)))

    def _finished(self, live: LiveJob, rows: Rows) -> None:
        live.attempt = None
        if self._live.get(live.id) is live:  # else its next attempt has begun here meanwhile
            del self._live[live.id]
        for row in rows:
            job = job_of(row, self._retention)
            self.changed(job)
            if job.status is Status.PENDING:
                self.wake((job.run_at - self._config.now()) / 1000)
        if self._idle is not None and not self._live and not self._idle.done():
            self._idle.set_result(None)
        if self._wants or self._config.max_running_of_owner or live.task in self._limited[0]:
            self.wake()  # what was waiting for this end; of all else there would be a notification

    def _heard(self, job_id: UUID) -> None:
        self._reports.heard(job_id)
        self._spoke(job_id)

    async def _look(self) -> None:
        """Now and then: for what is due, for what was claimed unknowingly."""
        for nth in count(1):
            await asyncio.sleep(self._config.poll_every)
            self._adopts = self._adopts or nth % _LOOKS == 0
            self.wake()

    def _adopted(self, rows: Rows) -> None:
        """Start the jobs that are this worker's, though it was never told so."""
        self._adopts = self._claiming = False
        self._start(rows)
        self.wake()

    async def _wait_until_idle(self, timeout: float) -> None:
        if self._live:
            self._idle = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._idle,), timeout=timeout)
