"""What one process knows of all jobs: the unfinished ones, the latest changes, the figures.

It is loaded at the start, told of the process's own changes at once, and reads everybody's in the
order of their change numbers, as far as those are settled.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from app.engines.postgres.tables import Snapshot
from app.jobs.figures import Kind
from app.jobs.ledger import Ledgers
from app.jobs.models import Job, Millis
from app.scheduler import Status

REMEMBERED: Final = 2_000
"""Jobs of which the latest change is kept for those who watch."""


class View:
    """Counts each change once, whoever tells of it first."""

    def __init__(self, now: Callable[[], Millis]) -> None:
        self.ledger = Ledgers(now)
        self.position = 0
        """All changes below this number are known here."""
        self.last_version = 0
        """The last change number below the position."""
        self._unfinished: dict[UUID, Job] = {}
        self._ahead: dict[UUID, int] = {}
        """The changes at the position and above it that are known here already."""
        self._removed: Mapping[Kind, int] = {}
        self._latest: OrderedDict[UUID, Job] = OrderedDict()
        self._since = 0
        """The latest changes hold all that is above this number."""
        self._by: Counter[tuple[str | None, Status]] = Counter()
        self._of: Counter[tuple[str, Status]] = Counter()
        self._all: Counter[Status] = Counter()

    def load(self, start: Snapshot) -> None:
        """Begin with what is in the tables, at the start or when something was missed."""
        self.position = start.settled
        self.last_version = self._since = start.last_version
        self._ahead = dict(start.ahead)
        self._removed = start.removed
        for counts in (self._latest, self._unfinished, self._by, self._of, self._all):
            counts.clear()
        for job in start.unfinished:
            self._unfinished[job.id] = job
            self._count(job, 1)
        self.ledger.recount(start.counts)

    @property
    def ahead(self) -> bool:
        """Whether there are changes that are known here, and not settled yet."""
        return bool(self._ahead)

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return sum(self.ledger.of(None).jobs().values())

    @property
    def pending(self) -> int:
        """How many jobs wait."""
        return self._all[Status.PENDING]

    def pending_of(self, owner: str | None) -> int:
        """How many jobs of an owner wait."""
        return self._by[owner, Status.PENDING]

    @property
    def running(self) -> int:
        """How many jobs run, on all nodes."""
        return self._all[Status.RUNNING]

    def unfinished(self, job_id: UUID) -> Job | None:
        """The job as it is known here, if it has not ended; without its params."""
        return self._unfinished.get(job_id)

    def due(self, now: Millis, of: tuple[str | None] | None) -> int:
        """How many jobs wait that are due, of one owner or of all, found by looking at each."""
        return sum(
            job.status is Status.PENDING and job.run_at <= now and (of is None or job.owner in of)
            for job in self._unfinished.values()
        )

    def pending_tasks(self) -> dict[str, int]:
        """How many jobs wait, by task."""
        of = self._of.items()
        return {task: n for (task, status), n in of if n and status is Status.PENDING}

    def know(self, job: Job) -> bool:
        """A committed change that was met elsewhere than in its order; False if it was known."""
        if job.version < self.position or self._ahead.get(job.id, 0) >= job.version:
            return False
        self._ahead[job.id] = job.version
        self._move(job)
        return True

    def read(self, job: Job) -> None:
        """The next change of the tables, in order."""
        if self._ahead.get(job.id, 0) < job.version:
            self._move(job)
        self._latest.pop(job.id, None)
        self._latest[job.id] = job
        self.last_version = max(self.last_version, job.version)
        while len(self._latest) > REMEMBERED:
            _, oldest = self._latest.popitem(last=False)
            self._since = oldest.version

    def settle(self, position: int) -> None:
        """All changes below the position have been read."""
        self.position = position
        for job_id in [i for i, version in self._ahead.items() if version < position]:
            del self._ahead[job_id]

    def changed_since(self, version: int) -> Iterator[Job] | None:
        """The latest state of each job that changed after it, in order; None if out of reach."""
        if version < self._since:
            return None
        later = []
        for job in reversed(self._latest.values()):
            if job.version <= version:
                break
            later.append(job)
        return reversed(later)

    def removed(self, total: Mapping[Kind, int]) -> None:
        """So many finished jobs have left the tables since the beginning."""
        known, self._removed = self._removed, total
        self.ledger.removed({kind: n - known.get(kind, 0) for kind, n in total.items()})

    def _move(self, job: Job) -> None:
        before = self._unfinished.pop(job.id, None)
        if before is not None:
            self._count(before, -1)
        if not job.done:
            self._unfinished[job.id] = job if job.params == b"{}" else replace(job, params=b"{}")
            self._count(job, 1)
        status = None if before is None else before.status
        self.ledger.moved(job, status, job.status, job.started_at, job.finished_at)

    def _count(self, job: Job, change: int) -> None:
        self._all[job.status] += change
        self._by[job.owner, job.status] += change
        self._of[job.task, job.status] += change
        if not self._by[job.owner, job.status]:
            del self._by[job.owner, job.status]  # owners come and go
