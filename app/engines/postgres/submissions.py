"""Submissions on their way into the tables: one job for a key, room for those that wait."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from app.engines.postgres.config import PostgresConfig
from app.engines.postgres.rows import label_key, labels_text
from app.engines.postgres.tables import Tables
from app.engines.postgres.view import View
from app.engines.postgres.worker import Worker
from app.engines.postgres.writer import PATIENCE, Change, Rows, give_up, refuse
from app.jobs.admission import Admission, admit, complete
from app.jobs.errors import KeyReused, QueueFull, StoreUnavailable
from app.jobs.ids import JobIds
from app.jobs.models import Job, Millis, NewJob, Submitted
from app.jobs.record import record
from app.jobs.registry import TaskRegistry

_SUBMIT = f"SELECT * FROM submit({', '.join(['%s'] * 16)})"


class Submissions:
    """Accepts jobs: row and dispatch in one transaction, in the order in which they came."""

    def __init__(
        self,
        registry: TaskRegistry,
        tables: Tables,
        worker: Worker,
        view: View,
        config: PostgresConfig,
        changed: Callable[[Job], None],
    ) -> None:
        self._registry = registry
        self._tables = tables
        self._worker = worker
        self._view = view
        self._random_bytes = config.random.randbytes
        self._max_pending = config.max_pending
        self._max_pending_of_owner = config.max_pending_of_owner
        self._changed = changed
        self._now = config.now
        self._ids = JobIds(config.now, random_bytes=self._random_bytes)
        self._arriving: dict[UUID, _Arrival] = {}

    slots: Callable[[], int] = int
    """How many slots there are in the cluster."""

    def continue_after(self, newest_id: int) -> None:
        """Give out only ids above the newest one that was there at the start."""
        self._ids = JobIds(self._now, newest_id, self._random_bytes)

    async def known(self, new: NewJob) -> Job | None:
        """The job that came with the same key before."""
        if new.idempotency_key is None:
            return None
        found = await self._tables.find_key(new.owner, new.idempotency_key)
        if found is None:
            return None
        job_id, fingerprint = found
        if fingerprint != new.fingerprint:
            raise KeyReused(job_id)
        return await self._tables.get(job_id)

    async def check(self, new: NewJob) -> Admission:
        """The submission, checked; raises what `accept` would raise about itself."""
        source = None
        if new.copy_of is not None:
            of = None if new.copies_any else new.owner
            source = await self._tables.require(new.copy_of, of)
            source = await self._tables.with_secrets(source)
        new = complete(new, source)
        return admit(new, self._registry[new.task])

    async def accept(self, new: NewJob, admission: Admission) -> Submitted:
        """The new job, durable, or that of the same key, which was quicker.

        When a slot is free here it starts in the transaction that makes it.
        """
        job_id, now = self._ids.next(), self._now()
        job = admission.job(job_id, 0, admission.run_at(job_id, now))
        self._require_room(job.owner, now)
        arrival = _Arrival(job, job.run_at <= now)
        self._arriving[job_id] = arrival
        done = asyncio.get_running_loop().create_future()
        then, refused = partial(self._written, arrival, done), partial(self._refused, job, done)
        self._worker.writer.queue(Change(_SUBMIT, _values(job, new, now), then, refused))
        self._worker.wake((job.run_at - now) / 1000)
        timer = asyncio.get_running_loop().call_later(PATIENCE, give_up, done)
        try:
            return await self._answer(new, job_id, *(await done))
        finally:
            timer.cancel()

    async def _answer(
        self, new: NewJob, job_id: UUID, found: UUID, fingerprint: bytes | None, job: Job
    ) -> Submitted:
        if found == job_id:
            return Submitted(_as_started(job, self._view.unfinished(job_id)))
        if fingerprint is None or bytes(fingerprint) != new.fingerprint:
            raise KeyReused(found)
        return Submitted(await self._tables.require(found), replayed=True)

    def _written(self, arrival: "_Arrival", done: asyncio.Future[Any], rows: Rows) -> None:
        job = arrival.job
        self._arriving.pop(job.id, None)
        [(version, found, fingerprint)] = rows
        job = replace(job, version=version, secrets=None)
        if found == job.id:
            self._changed(job)
        if not done.done():
            done.set_result((found, fingerprint, job))

    def _refused(self, job: Job, done: asyncio.Future[Any], error: StoreUnavailable) -> None:
        self._arriving.pop(job.id, None)
        refuse(done, error)

    def _require_room(self, owner: str | None, now: Millis) -> None:
        arriving = self._arriving.values()
        everybody = self._view.pending + len(arriving), self._max_pending
        bounds = [(*everybody, None)]
        if self._max_pending_of_owner is not None:
            own = sum(arrival.job.owner == owner for arrival in arriving)
            bounds.append((self._view.pending_of(owner) + own, self._max_pending_of_owner, owner))
        for waiting, limit, whose in bounds:
            if waiting >= limit:
                self._require_start(waiting, limit, whose, now)

    def _require_start(self, waiting: int, limit: int, owner: str | None, now: Millis) -> None:
        """More wait than may, unless enough of them are about to start."""
        free = max(0, self.slots() - self._view.running)
        if waiting - free < limit:
            arriving = self._arriving.values()
            due = self._view.due(now, owner) + sum(
                arrival.is_due and owner in (None, arrival.job.owner) for arrival in arriving
            )
            waiting -= min(due, free)
        if waiting >= limit:
            raise QueueFull(waiting, limit)


@record(frozen=True, slots=True)
class _Arrival:
    """A job of which the row is being written."""

    job: Job
    is_due: bool


def _values(job: Job, new: NewJob, now: Millis) -> tuple[Any, ...]:
    keys = [label_key(name, value) for name, value in job.labels.items()] or None
    return (
        *(job.id, now, job.task, job.owner, job.priority, job.timeout, job.max_attempts),
        *(job.run_at, job.start_by, job.traceparent, labels_text(job), keys, job.params),
        *(job.secrets, new.idempotency_key, new.fingerprint),
    )


def _as_started(job: Job, known: Job | None) -> Job:
    """The job as it is by now, if it has started."""
    if known is None or known.version <= job.version:
        return job
    return replace(known, params=job.params)
