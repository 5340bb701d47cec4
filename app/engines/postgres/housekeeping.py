"""What every process does now and then for the cluster: whoever comes first does it."""

import asyncio
import contextlib
import logging
from collections import Counter
from typing import Final

from app.engines.postgres.clock import Clock
from app.engines.postgres.config import PostgresConfig
from app.engines.postgres.outage import Outage
from app.engines.postgres.rows import SUMMARY, job_of
from app.engines.postgres.tables import Tables
from app.engines.postgres.view import View
from app.engines.postgres.worker import FINISH, Worker, finish_values
from app.engines.postgres.writer import Rows
from app.jobs.deliveries import LOST
from app.jobs.errors import StoreUnavailable
from app.jobs.models import ErrorType, JobError
from app.jobs.registry import TaskRegistry
from app.jobs.runner import crashed
from app.jobs.stored import error_text

log = logging.getLogger(__name__)

REMOVE_AT_ONCE: Final = 100

_STALE: Final = (
    "greatest(w.last_heartbeat, pg_postmaster_start_time(), now() - %s * interval '1 second') "
    "< now() - %s * interval '1 second'"
)
CRASHED: Final = (
    f"SELECT {SUMMARY}, j.worker FROM jobs j "
    "LEFT JOIN procrastinate_workers w ON w.id = j.worker "
    f"WHERE j.status = 1 AND (w.id IS NULL OR {_STALE}) LIMIT 1000"
)
"""The jobs of dead workers, by the seconds since when we have reached the database, and may be."""

_BURY: Final = (
    f"DELETE FROM procrastinate_workers w WHERE {_STALE} "
    "AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.status = 1 AND j.worker = w.id) "
    "RETURNING w.id, (SELECT name FROM workers n WHERE n.id = w.id)"
)
_UNFREEZE: Final = (
    "WITH frozen AS MATERIALIZED (SELECT pid FROM pg_stat_activity "
    "WHERE datname = current_database() AND usename = current_user "
    "AND application_name = current_setting('application_name') "
    "AND wait_event_type = 'Client' AND xact_start < now() - %s * interval '1 second') "
    "SELECT pid FROM frozen WHERE pg_terminate_backend(pid)"
)
"""Whoever froze within a transaction holds what all others wait for."""

_LATE: Final = (
    f"SELECT {SUMMARY} FROM (SELECT id FROM jobs WHERE status = 0 AND attempt = 0 "
    "AND start_by < %s LIMIT 100) AS late, fail(late.id, %s, %s) AS j"
)
_UNKNOWN: Final = (
    f"SELECT {SUMMARY} FROM (SELECT id FROM jobs WHERE status = 0 AND task = %s "
    "AND run_at <= %s LIMIT 100) AS lost, fail(lost.id, %s, %s) AS j"
)
_UNDISPATCHED: Final = (
    "WITH lost AS (SELECT id FROM jobs j WHERE status = 0 AND NOT EXISTS ("
    "SELECT 1 FROM procrastinate_jobs p WHERE p.id = j.dispatch) LIMIT 100 FOR UPDATE SKIP LOCKED) "
    "UPDATE jobs j SET parked = false, "
    "dispatch = dispatch(j.id, j.task, j.priority, j.run_at, %s) FROM lost WHERE j.id = lost.id "
    "RETURNING j.id"
)
_EXPIRE: Final = "SELECT its_jobs, its_lost FROM expire(%s, %s, %s)"
_CLUSTER: Final = "SELECT w.id, w.slots, w.tasks FROM workers w ORDER BY w.id"


class Housekeeping:
    """The reaper of dead workers' jobs, the reconciler, and what is past its time."""

    def __init__(
        self,
        registry: TaskRegistry,
        tables: Tables,
        worker: Worker,
        view: View,
        clock: Clock,
        config: PostgresConfig,
    ) -> None:
        self._registry = registry
        self._tables = tables
        self._turns = worker.turns
        self._writer = worker.writer
        self._limits = worker.limits
        self._changed = worker.changed
        self._view = view
        self._clock = clock
        self._config = config
        self._every = min(config.housekeeping_every, config.stall_after / 6)
        self._stale_after = config.stall_after - self._every  # so that it is seen in time
        self._retention = round(config.retention * 1000)
        self._outage = Outage("housekeeping")
        self._tasks: list[asyncio.Task[None]] = []
        self._gap = config.stall_after / 3
        self._reachable_since = self._reached_at = float("-inf")
        self._reconciled_at = float("-inf")
        self._workers_changed = asyncio.Event()
        self.loop_lag = 0.0
        """Seconds that the event loop was last late by."""
        self.workers = 0
        """How many workers there are in the cluster."""
        self.slots = 0
        """How many slots they have."""
        self.size = 0
        """How many bytes the jobs take, if there is a limit to it."""
        self._own_tasks = frozenset(task.name for task in registry)
        self._tasks_of_workers = self._own_tasks
        """The tasks that any worker knows; our own as long as there has been none."""

    async def start(self) -> None:
        """Begin."""
        await self.look_around()
        await self._reap()
        self._tasks = [
            asyncio.create_task(self._run(), name="awaitd-housekeeper"),
            asyncio.create_task(self._unfreeze(), name="awaitd-unfreezer"),
            asyncio.create_task(self._greet(), name="awaitd-greeter"),
        ]

    async def stop(self) -> None:
        """End with what is being done."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def unknown_tasks(self) -> dict[str, int]:
        """The pending jobs whose task no worker knows, by task: an API node does not run them."""
        pending = self._view.pending_tasks()
        return {
            task: number for task, number in pending.items() if task not in self._tasks_of_workers
        }

    async def _run(self) -> None:
        while True:
            await self._rest()
            try:
                await self._round()
                self._outage.end()
            except StoreUnavailable as error:
                self._outage.begin(error)
            except Exception:  # whatever it is, the next round tries again
                log.exception("the house was not kept")

    def workers_changed(self) -> None:
        """Somebody has begun or ceased to work."""
        self._workers_changed.set()

    async def _greet(self) -> None:
        """See at once who works: rounds are seconds apart."""
        while True:
            await self._workers_changed.wait()
            self._workers_changed.clear()
            with contextlib.suppress(StoreUnavailable):
                await self.count_workers()

    async def _unfreeze(self) -> None:
        """End the sessions of processes that froze: all changes may be waiting for one of them."""
        while True:
            await asyncio.sleep(self._every)
            with contextlib.suppress(StoreUnavailable):
                for (pid,) in await self._tables.rows(_UNFREEZE, (self._stale_after,)):
                    log.warning("session %d froze within a transaction: it was ended", pid)

    async def _rest(self) -> None:
        """Sleep, and note by how much the event loop was late to wake us."""
        loop, pause = asyncio.get_running_loop(), self._every
        due = loop.time() + pause
        await asyncio.sleep(pause)
        self.loop_lag = round(max(0.0, loop.time() - due), 4)

    async def _round(self) -> None:
        await self.look_around()
        await self._reap()
        await self._fail_late()
        await self._fail_unknown()
        await self._reconcile()
        await self._unpark()
        await self._expire()

    async def look_around(self) -> None:
        """See what time it is, who works, and how much is stored."""
        await self._clock.set(self._tables)
        await self.count_workers()
        self._reached()
        if self._config.max_store_size is not None:
            self.size = await self._tables.size(self._view.total)

    async def count_workers(self) -> None:
        """See who works; raises `StoreUnavailable`."""
        workers = await self._tables.rows(_CLUSTER)
        self.workers, self.slots = len(workers), sum(slots for _, slots, _ in workers)
        if workers:
            self._tasks_of_workers = frozenset().union(*(tasks for _, _, tasks in workers))
        self._turns.alike = [each for each, _, tasks in workers if self._own_tasks == set(tasks)]

    def _reached(self) -> None:
        """The database has answered. When it was away for us, so it may have been for workers."""
        now = asyncio.get_running_loop().time()
        if now - self._reached_at > self._gap:
            self._reachable_since = now
        self._reached_at = now

    async def _reap(self) -> None:
        """Apply the crash rule to the attempts of workers that are gone or silent."""
        stale = (self._reached_at - self._reachable_since, self._stale_after)
        rows = await self._tables.rows(CRASHED, stale)
        lost: Counter[int] = Counter()
        for *row, worker in rows:
            job = job_of(row, self._retention)
            outcome = crashed(job, self._registry.get(job.task), self._limits)
            values = finish_values(job.id, job.attempt, self._config.now(), outcome)
            lost[worker] += len(await self._change(FINISH, values))
        for worker, name in await self._change(_BURY, stale, tells=False):
            text = "worker %s was silent for too long and counts as dead: %d jobs lost an attempt"
            log.warning(text, name or f"number {worker}", lost.pop(worker, 0))
        for worker, number in (+lost).items():
            log.warning("worker number %s is gone: %d jobs lost an attempt", worker, number)

    async def _fail_late(self) -> None:
        now = self._config.now()
        error = JobError(ErrorType.NOT_STARTED_IN_TIME, "no slot was free in time")
        await self._change(_LATE, (now, now, error_text(error)))

    async def _fail_unknown(self) -> None:
        now = self._config.now()
        due = now - round(self._config.unknown_task_after * 1000)
        for task in self.unknown_tasks().keys() - self._own_tasks:
            error = JobError(ErrorType.UNKNOWN_TASK, f"there is no task {task!r} any more")
            await self._change(_UNKNOWN, (task, due, now, error_text(error)))

    async def _reconcile(self) -> None:
        """Dispatch again what has no dispatch, which only somebody else's hand can bring about."""
        now = asyncio.get_running_loop().time()
        if now - self._reconciled_at >= self._config.reconcile_every:
            self._reconciled_at = now
            await self._change(_UNDISPATCHED, (self._config.now(),), tells=False)

    async def _unpark(self) -> None:
        values = (self._config.max_running_of_owner, self._config.now())
        if await self._tables.rows("SELECT 1 FROM jobs WHERE parked LIMIT 1"):
            await self._change("SELECT unpark_more(%s, %s)", values, tells=False)

    async def _expire(self) -> None:
        kept = max(self._retention, round(self._config.keep_at_least * 1000))
        gone, lost = REMOVE_AT_ONCE, 0
        try:
            while gone == REMOVE_AT_ONCE:
                now = self._config.now()
                values = (now - kept, now, REMOVE_AT_ONCE)
                rows = await self._change(_EXPIRE, values, tells=False)
                gone, untold = rows[0] if rows else (0, 0)
                lost += untold
        finally:
            if lost:
                log.warning(LOST, lost)

    async def _change(self, text: str, values: tuple[object, ...], *, tells: bool = True) -> Rows:
        rows = await self._writer.make(text, values)
        self._reached()
        for row in rows if tells else ():
            self._changed(job_of(row, self._retention))
        return rows
