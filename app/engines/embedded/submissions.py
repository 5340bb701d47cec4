"""Submissions on their way into the journal: one job for a key, room for those that wait."""

import asyncio
from collections import Counter
from functools import partial

from msgspec.structs import replace

from app.engines.embedded.answers import refuse, resolve
from app.engines.embedded.config import EmbeddedConfig
from app.engines.embedded.dispatcher import Dispatcher
from app.engines.embedded.journal import Journal
from app.jobs.admission import Admission, admit, complete
from app.jobs.errors import KeyReused, QueueFull, StoreFull, StoreUnavailable
from app.jobs.ids import JobIds
from app.jobs.ledger import Ledgers
from app.jobs.models import Job, NewJob
from app.jobs.registry import TaskRegistry
from app.scheduler import Status
from app.scheduler.states import PENDING, RUNNING


class Submissions:
    """Accepts jobs: writes them, and hands them to the dispatcher once they are durable."""

    def __init__(
        self,
        registry: TaskRegistry,
        journal: Journal,
        dispatcher: Dispatcher,
        ledger: Ledgers,
        config: EmbeddedConfig,
    ) -> None:
        self._registry = registry
        self._journal = journal
        self._dispatcher = dispatcher
        self._ledger = ledger
        self._max_pending = config.max_pending
        self._max_store_size = config.max_store_size
        self._now = config.now
        self._random_bytes = config.random.randbytes
        self._ids = JobIds(config.now, random_bytes=self._random_bytes)
        self._of_key: dict[tuple[str | None, str], asyncio.Future[Job]] = {}
        self._max_pending_of_owner = config.max_pending_of_owner
        self._arriving: Counter[str | None] = Counter()
        """Jobs that will wait, of which the row is being written, by owner."""

    def continue_after(self, newest_id: int) -> None:
        """Give out only ids above the newest one that was ever in the journal."""
        self._ids = JobIds(self._now, newest_id, self._random_bytes)

    async def known(self, new: NewJob) -> Job | None:
        """The job that came with the same key before, or is coming with it right now."""
        if new.idempotency_key is None:
            return None
        while coming := self._of_key.get((new.owner, new.idempotency_key)):
            await self._journal.answers.wait(coming, shared=True)
        found = self._journal.reader.find_key(new.owner, new.idempotency_key)
        if found is None:
            return None
        job_id, fingerprint = found
        if fingerprint != new.fingerprint:
            raise KeyReused(job_id)
        return self._journal.reader.get(job_id)  # None: its retention has just run out

    def accept(self, new: NewJob) -> asyncio.Future[Job]:
        """The new job, once it is durable. No `await` may stand between `known` and this."""
        admission = self.check(new)
        self._require_store_room()
        job_id, now = self._ids.next(), self._now()
        run_at = admission.run_at(job_id, now)
        starts = not self._arriving and self._dispatcher.take_slot(
            admission.task.name, new.owner, run_at, now
        )
        if not starts:
            self._require_room(new.owner)
        version = self._journal.next_version()
        return self._write(
            admission.job(job_id, version, run_at, now if starts else None), admission
        )

    def check(self, new: NewJob) -> Admission:
        """The submission, checked; raises what `accept` would raise about itself."""
        source = None
        if new.copy_of is not None:
            of = None if new.copies_any else new.owner
            reader = self._journal.reader
            source = reader.with_secrets(reader.require(new.copy_of, of))
        new = complete(new, source)
        return admit(new, self._registry[new.task])

    def _write(self, job: Job, admission: Admission) -> asyncio.Future[Job]:
        new = admission.new
        done: asyncio.Future[Job] = self._journal.answers.new()
        then = partial(self._written, job, admission, done)
        refused = partial(self._refused, job, new, done)
        if new.idempotency_key is not None:
            self._of_key[new.owner, new.idempotency_key] = done
        if job.status is PENDING:
            self._arriving[job.owner] += 1
        try:
            self._journal.insert(job, new.idempotency_key, new.fingerprint, then, refused)
        except Exception as error:  # it cannot be encoded
            refused(StoreUnavailable(f"the job cannot be written ({error})"))
        return done

    def _written(
        self, job: Job, admission: Admission, done: asyncio.Future[Job], _: Status
    ) -> None:
        self._arrived(job, admission.new)
        resolve(done, job if job.secrets is None else replace(job, secrets=None))
        self._ledger.moved(job, None, job.status, job.started_at)
        self._dispatcher.add(job, admission.arguments)

    def _refused(
        self, job: Job, new: NewJob, done: asyncio.Future[Job], error: StoreUnavailable
    ) -> None:
        self._arrived(job, new)
        if job.status is RUNNING:
            self._dispatcher.release_slot(job)
        refuse(done, error)

    def _arrived(self, job: Job, new: NewJob) -> None:
        if job.status is PENDING:
            self._arriving[job.owner] -= 1
            if not self._arriving[job.owner]:
                del self._arriving[job.owner]
        if new.idempotency_key is not None:
            del self._of_key[new.owner, new.idempotency_key]

    def _require_room(self, owner: str | None) -> None:
        depth = self._dispatcher.pending + self._arriving.total()
        if depth >= self._max_pending:
            raise QueueFull(depth, self._max_pending)
        if self._max_pending_of_owner is None:
            return
        of_owner = self._dispatcher.pending_of(owner) + self._arriving[owner]
        if of_owner >= self._max_pending_of_owner:
            raise QueueFull(of_owner, self._max_pending_of_owner)

    def _require_store_room(self) -> None:
        if self._max_store_size is None:
            return
        size = self._journal.reader.size()
        if size >= self._max_store_size:
            raise StoreFull(size, self._max_store_size)
