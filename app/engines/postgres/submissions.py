"""Submissions on their way into the tables: one job for a key, room for those that wait."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import replace

from app.engines.postgres.config import PostgresConfig
from app.engines.postgres.housekeeping import Housekeeping
from app.engines.postgres.keys import Key, Keys, key_of, require_same
from app.engines.postgres.rows import label_key
from app.engines.postgres.tables import Tables
from app.engines.postgres.view import View
from app.engines.postgres.worker import Worker
from app.engines.postgres.writer import Change, Rows, refuse
from app.jobs.admission import Admission, admit, complete
from app.jobs.errors import JobExpired, QueueFull, StoreFull, StoreUnavailable
from app.jobs.ids import JobIds
from app.jobs.models import Job, Millis, NewJob, Submitted
from app.jobs.registry import TaskRegistry
from app.jobs.stored import labels_text, webhook_text

_SUBMIT = f"SELECT * FROM submit({', '.join(['%s'] * 17)})"

_Answer: TypeAlias = asyncio.Future[tuple[Job, UUID, bytes | None]]
"""What was written, and the job that its key has now with the fingerprint which that came with."""


class Submissions:
    """Accepts jobs: row and dispatch in one transaction, in the order in which they came."""

    def __init__(
        self,
        registry: TaskRegistry,
        tables: Tables,
        worker: Worker,
        view: View,
        house: Housekeeping,
        config: PostgresConfig,
    ) -> None:
        self._registry = registry
        self._tables = tables
        self._worker = worker
        self._view = view
        self._house = house
        self._random_bytes = config.random.randbytes
        self._max_pending = config.max_pending
        self._max_pending_of_owner = config.max_pending_of_owner
        self._max_store_size = config.max_store_size
        self._now = config.now
        self._ids = JobIds(config.now, random_bytes=self._random_bytes)
        self._arriving: dict[UUID, _Arrival] = {}
        self._coming: dict[Key, _Arrival] = {}
        """Those of them that have a key."""
        self._keys = Keys(tables)

    async def close(self) -> None:
        """End what is read for nobody."""
        await self._keys.close()

    def continue_after(self, newest_id: int) -> None:
        """Give out only ids above the newest one that was there at the start."""
        self._ids = JobIds(self._now, newest_id, self._random_bytes)

    async def known(self, new: NewJob) -> Job | None:
        """The job that came with the same key before, or is coming with it right now."""
        key = key_of(new)
        if key is None:
            return None
        if key in self._coming:
            return await self._written_for(new, self._coming[key])
        found = await self._keys.find(key)
        if found is None:
            return None
        job, fingerprint = found
        require_same(new, job.id, fingerprint)
        return job

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
        key = key_of(new)
        if key is not None and key in self._coming:
            return Submitted(await self._written_for(new, self._coming[key]), replayed=True)
        job_id, now = self._ids.next(), self._now()
        job = admission.job(job_id, 0, admission.run_at(job_id, now))
        arrival = _Arrival(new, job, job.run_at <= now)
        self._require_room(arrival, now)
        self._arriving[job_id] = arrival
        if key is not None:
            self._coming[key] = arrival
        then, refused = partial(self._written, arrival), partial(self._refused, arrival)
        self._worker.writer.queue(Change(_SUBMIT, _values(job, new, now), then, refused))
        self._worker.wake((job.run_at - now) / 1000)
        written = await self._written_for(new, arrival)
        return Submitted(written, replayed=written.id != job_id)

    async def _written_for(self, new: NewJob, arrival: "_Arrival") -> Job:
        """The job of a submission, once it is written, or the other one of its key."""
        done: _Answer = asyncio.get_running_loop().create_future()
        arrival.awaited[done] = None
        try:
            job, found, fingerprint = await self._worker.writer.answer(done)
        finally:
            del arrival.awaited[done]
        require_same(new, found, fingerprint)
        if found == job.id:
            return _as_started(job, self._view.unfinished(found))
        known = await self.known(new)  # another node was quicker
        if known is None:
            raise JobExpired(found)
        return known

    def _written(self, arrival: "_Arrival", rows: Rows) -> None:
        self._arrived(arrival)
        [(version, found, fingerprint)] = rows
        job = replace(arrival.job, version=version, secrets=None)
        if found == job.id:
            self._worker.changed(job)
        for done in arrival.awaited:
            if not done.done():
                done.set_result((job, found, fingerprint))

    def _refused(self, arrival: "_Arrival", error: StoreUnavailable) -> None:
        self._arrived(arrival)
        for done in arrival.awaited:
            refuse(done, error)

    def _arrived(self, arrival: "_Arrival") -> None:
        self._arriving.pop(arrival.job.id, None)
        key = key_of(arrival.new)
        if key is not None:
            self._coming.pop(key, None)

    def _require_room(self, new: "_Arrival", now: Millis) -> None:
        if self._max_store_size is not None and self._house.size >= self._max_store_size:
            raise StoreFull(self._house.size, self._max_store_size)
        waiting = self._view.pending + len(self._arriving)
        if waiting >= self._max_pending:
            self._require_start(new, list(self._arriving.values()), self._max_pending, now)
        if self._max_pending_of_owner is None:
            return
        owner = new.job.owner
        own = [arrival for arrival in self._arriving.values() if arrival.job.owner == owner]
        if self._view.pending_of(owner) + len(own) >= self._max_pending_of_owner:
            self._require_start(new, own, self._max_pending_of_owner, now, own=True)

    def _require_start(
        self,
        new: "_Arrival",
        arriving: Sequence["_Arrival"],
        limit: int,
        now: Millis,
        *,
        own: bool = False,
    ) -> None:
        """As many wait as may, or more: let it pass only if enough are about to start."""
        view, owner = self._view, new.job.owner
        waiting = len(arriving) + (view.pending_of(owner) if own else view.pending)
        free = max(0, self._house.slots - view.running)
        if free:
            due = sum(arrival.is_due for arrival in arriving)
            due += view.due(now, of=(owner,) if own else None)
            starting = min(due, free)
            waiting -= starting
            if waiting < limit or (new.is_due and due < free):
                return
        raise QueueFull(waiting, limit)


class _Arrival(Struct, frozen=True):
    """A submission of which the row is being written, and who waits for that."""

    new: NewJob
    job: Job
    is_due: bool
    awaited: dict[_Answer, None] = field(default_factory=dict)


def _values(job: Job, new: NewJob, now: Millis) -> tuple[Any, ...]:
    keys = [label_key(name, value) for name, value in job.labels.items()] or None
    return (
        *(job.id, now, job.task, job.owner, job.priority, job.timeout, job.max_attempts),
        *(job.run_at, job.start_by, job.traceparent, labels_text(job.labels), keys, job.params),
        *(job.secrets, new.idempotency_key, new.fingerprint, webhook_text(job.webhook)),
    )


def _as_started(job: Job, known: Job | None) -> Job:
    """The job as it is by now, if it has started."""
    if known is None or known.version <= job.version:
        return job
    return replace(known, params=job.params)
