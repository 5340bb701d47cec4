"""Which job starts next: plain data, decided synchronously, with no clock and no I/O."""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias
from uuid import UUID

from app.jobs.live import LiveJob
from app.jobs.models import Millis

_Entry: TypeAlias = tuple[int, Millis, UUID]
_Lane: TypeAlias = tuple[str, str | None]

_SLACK: Final = 1_000


class ReadyQueue:
    """The pending jobs, and the slots of those that run.

    Higher priority first, then by due time, then by id. A task or an owner at its own limit lets
    others pass. `limits` has the `max_running` of the tasks that have one, `of_owner` is every
    owner's.
    """

    def __init__(
        self, max_running: int, limits: Mapping[str, int], of_owner: int | None = None
    ) -> None:
        self.max_running = max_running
        self._limits = limits
        self._of_owner = of_owner
        self.waiting: dict[UUID, LiveJob] = {}
        """The jobs that wait."""
        self._delayed: list[tuple[Millis, UUID]] = []
        self._deadlines: list[tuple[Millis, UUID]] = []
        # A heap for each lane that has jobs which are due; the first of each heap still waits.
        self._ready: dict[_Lane, list[_Entry]] = {}
        self._running_of: Counter[str] = Counter()
        self._running_by: Counter[str | None] = Counter()
        self._waiting_by: Counter[str | None] = Counter()
        self._stale = 0
        self.running = 0
        """How many slots are taken."""

    def waiting_by(self, owner: str | None) -> int:
        """How many jobs of an owner wait."""
        return self._waiting_by[owner]

    def take_slot(self, task: str, owner: str | None = None) -> bool:
        """Take a slot for a job of this task, if there is one for it."""
        if self.running >= self.max_running or self._at_limit((task, owner)):
            return False
        self.running += 1
        if task in self._limits:
            self._running_of[task] += 1
        if self._of_owner is not None:
            self._running_by[owner] += 1
        return True

    def release_slot(self, task: str, owner: str | None = None) -> None:
        """Give a slot back."""
        self.running -= 1
        if task in self._limits:
            self._running_of[task] -= 1
        if self._of_owner is not None:
            _count_down(self._running_by, owner)

    def push(self, job: LiveJob, now: Millis) -> None:
        """A job waits from now on, until it is due and a slot is free."""
        self.waiting[job.id] = job
        self._waiting_by[job.owner] += 1
        if job.run_at > now:
            heapq.heappush(self._delayed, (job.run_at, job.id))
        else:
            self._make_ready(job)
        if job.start_by is not None:
            heapq.heappush(self._deadlines, (job.start_by, job.id))

    def discard(self, job_id: UUID) -> None:
        """A job waits no more; does nothing when it did not."""
        job = self.waiting.pop(job_id, None)
        if job is not None:
            self._left(job)

    def pop(self, now: Millis) -> LiveJob | None:
        """The next job that may start now, with a slot taken for it."""
        self._admit_due(now)
        if self.running >= self.max_running:
            return None
        ready = self._ready.items()
        first = min((heap[0] for lane, heap in ready if not self._at_limit(lane)), default=None)
        if first is None:
            return None
        job = self.waiting.pop(first[2])
        self.take_slot(job.task, job.owner)
        self._left(job)
        return job

    def late(self, now: Millis) -> Iterator[LiveJob]:
        """The jobs whose time to start has run out; each is given once."""
        while self._deadlines and self._deadlines[0][0] < now:
            _, job_id = heapq.heappop(self._deadlines)
            job = self.waiting.get(job_id)
            if job is not None and job.start_by is not None:  # None once it has started
                yield job

    def has_due(self, now: Millis) -> bool:
        """Whether a delayed job has come due and has not been looked at since."""
        return bool(self._delayed) and self._delayed[0][0] <= now

    def next_time(self) -> Millis | None:
        """When to look again: the next time that a job is due or too late."""
        due = self._delayed[0][0] if self._delayed else None
        late = self._deadlines[0][0] + 1 if self._deadlines else None
        return min((time for time in (due, late) if time is not None), default=None)

    def _at_limit(self, lane: _Lane) -> bool:
        task, owner = lane
        limit = self._limits.get(task)
        if limit is not None and self._running_of[task] >= limit:
            return True
        return self._of_owner is not None and self._running_by[owner] >= self._of_owner

    def _lane(self, job: LiveJob) -> _Lane:
        """Jobs that are at their limits together; owners share a lane where they have no limit."""
        return job.task, None if self._of_owner is None else job.owner

    def _admit_due(self, now: Millis) -> None:
        while self.has_due(now):
            _, job_id = heapq.heappop(self._delayed)
            if job := self.waiting.get(job_id):
                self._make_ready(job)

    def _make_ready(self, job: LiveJob) -> None:
        entry = (-job.priority, job.run_at, job.id)
        heapq.heappush(self._ready.setdefault(self._lane(job), []), entry)

    def _left(self, job: LiveJob) -> None:
        """Drop what the heaps still hold of a job that has left: at once where it is first."""
        _count_down(self._waiting_by, job.owner)
        heap = self._ready.get(self._lane(job), [])
        while heap and heap[0][2] not in self.waiting:
            heapq.heappop(heap)
        if not heap:
            self._ready.pop(self._lane(job), None)
        self._stale += 1
        if self._stale > len(self.waiting) + _SLACK:
            self._drop_stale()

    def _drop_stale(self) -> None:
        self._stale = 0
        for times in (self._delayed, self._deadlines):
            times[:] = [entry for entry in times if entry[1] in self.waiting]
            heapq.heapify(times)
        for entries in self._ready.values():
            entries[:] = [entry for entry in entries if entry[2] in self.waiting]
            heapq.heapify(entries)


def _count_down(counts: Counter[str | None], owner: str | None) -> None:
    """One less, and no entry for who has none: owners come and go."""
    counts[owner] -= 1
    if not counts[owner]:
        del counts[owner]
