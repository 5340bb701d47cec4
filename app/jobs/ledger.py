"""What the engine counts: jobs by task and status, ends by time, durations."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from app.jobs.figures import Kind, Period, TaskFigures
from app.jobs.live import LiveJob
from app.jobs.models import Job, Millis
from app.jobs.observer import Observer
from app.jobs.periods import Ends, Histogram, Series, step_of
from app.scheduler import Status
from app.scheduler.states import COMPLETED, RUNNING

MINUTE: Final = 60_000
QUARTER: Final = 15 * MINUTE
MINUTES: Final = 60
QUARTERS: Final = 96
REMEMBERED: Final = 200
"""Durations of a task's earlier jobs that are known after a restart."""

_PILE: Final = 200
"""Changes of jobs that are counted together, at most."""

_Move: TypeAlias = tuple[
    str, str | None, Status | None, Status, Millis | None, Millis | None, Millis | None
]
"""Of a job: its task, its owner, its status before and after; how long it waited for its start if
this was it, how long it ran if it has ended, and in which minute."""


class Ledger:
    """Counts every change of a job's status."""

    def __init__(self, now: Callable[[], Millis], observer: Observer | None = None) -> None:
        self._now = now
        self._observer = observer
        self.since = now()
        """Since when ends are counted."""
        self._jobs: defaultdict[str, Counter[Status]] = defaultdict(Counter)
        self._durations: defaultdict[str, Histogram] = defaultdict(Histogram)
        self._ends = Ends(self.since - self.since % MINUTE)
        """Of this minute, and not handed on yet."""
        self._minutes = Series(MINUTE, MINUTES)
        self._quarters = Series(QUARTER, QUARTERS)

    def load(self, durations: Mapping[str, Iterable[Millis]]) -> None:
        """Begin with the durations that the store holds, by task."""
        for task, known in durations.items():
            for duration in known:
                self._durations[task].add(step_of(duration))

    def counted(self, task: str, status: Status, change: int) -> None:
        """There are so many more jobs of a status."""
        self._jobs[task][status] += change

    def recount(self) -> None:
        """Count jobs anew, from none."""
        for counts in self._jobs.values():
            counts.clear()

    def moved(
        self,
        task: str,
        before: Status | None,
        after: Status,
        ran: Millis | None = None,
        *,
        at: Millis | None = None,
        jobs: int = 1,
    ) -> None:
        """So many jobs have a new status: `before` is None for new ones.

        `ran` is how long the attempt took with which each ended, if there was one; `at` is when
        they ended, by default now.
        """
        counts = self._jobs[task]
        if before is not None:
            counts[before] -= jobs
        counts[after] += jobs
        if after.finished:
            self._ended(task, after, ran, self._now() if at is None else at, jobs)

    def jobs(self) -> dict[Status, int]:
        """How many jobs there are by status."""
        total = sum(self._jobs.values(), Counter[Status]())
        return {status: total[status] for status in Status}

    def tasks(self) -> dict[str, TaskFigures]:
        """The figures of every task that has or had jobs."""
        return {
            task: TaskFigures({s: counts[s] for s in Status}, self._durations[task].quantiles())
            for task, counts in self._jobs.items()
        }

    def median(self, task: str) -> float | None:
        """The seconds that half of the task's completed attempts stayed below."""
        return self._durations[task].median() if task in self._durations else None

    def minutes(self) -> list[Period]:
        """The ends of jobs, minute by minute for an hour."""
        return self._periods(self._minutes)

    def quarter_hours(self) -> list[Period]:
        """The ends of jobs, quarter of an hour by quarter of an hour for a day."""
        return self._periods(self._quarters)

    def _ended(self, task: str, status: Status, ran: Millis | None, at: Millis, jobs: int) -> None:
        if self._observer is not None:
            self._observer.ended(task, status, ran, jobs)
        step = None if ran is None else step_of(ran)
        if step is not None and status is COMPLETED:
            self._durations[task].add(step, jobs)
        if at >= self._ends.start + MINUTE:
            self._hand_on(at)
        self._ends.add(status, step, jobs)

    def _periods(self, series: Series) -> list[Period]:
        now = self._now()
        self._hand_on(now)
        return series.periods(now)

    def _hand_on(self, now: Millis) -> None:
        """Give what was counted to the minutes and quarters, and begin anew."""
        if self._ends.ended:
            self._minutes.add(self._ends)
            self._quarters.add(self._ends)
        self._ends = Ends(now - now % MINUTE)


class Ledgers:
    """A ledger of all jobs, and one for each owner's own.

    Changes are counted when somebody looks, or when many have piled up: most are like others, and
    those are counted together.
    """

    def __init__(self, now: Callable[[], Millis]) -> None:
        self._now = now
        self._observer = Observer()
        self._all = Ledger(now, self._observer)
        self._own: dict[str, Ledger] = {}
        self._moves: list[_Move] = []
        """Those that are not counted yet."""
        self._counted = 0
        """How many have been."""
        self.since = self._all.since
        """Since when ends are counted."""

    @property
    def observer(self) -> Observer:
        """Sees everybody's jobs."""
        self._count()
        return self._observer

    def load(self, counts: Mapping[Kind, int], durations: Mapping[str, Iterable[Millis]]) -> None:
        """Begin with what the store holds."""
        self._all.load(durations)
        self.recount(counts)

    def recount(self, counts: Mapping[Kind, int]) -> None:
        """There are these jobs, whatever was counted before; ends and durations stay."""
        self._count()
        for ledger in (self._all, *self._own.values()):
            ledger.recount()
        for (owner, task, status), count in counts.items():
            self.of(owner).counted(task, status, count)

    def of(self, owner: str | None) -> Ledger:
        """The ledger of an owner's jobs; None for all."""
        self._count()
        return self._all if owner is None else self._of_owner(owner)

    @property
    def has_owners(self) -> bool:
        """Whether any job has an owner."""
        return bool(self._own)

    def expected(self, job: Job) -> float | None:
        """Seconds until the job should end, by what earlier ones took; None if none is known.

        The latest of many may be left out of account.
        """
        if 16 * len(self._moves) > self._counted:
            self._count()
        median = self._all.median(job.task)
        if median is None and self._moves:
            self._count()
            median = self._all.median(job.task)
        if median is None:
            return None
        begin = job.run_at if job.started_at is None else job.started_at
        return max(0.0, (begin - self._now()) / 1000 + median)

    def moved(
        self,
        job: Job | LiveJob,
        before: Status | None,
        after: Status,
        started_at: Millis | None = None,
        ended_at: Millis | None = None,
    ) -> None:
        """A job has a new status: `before` is None for a new one.

        `started_at` and `ended_at` are those of its attempt, if it starts one or has ended with
        one: how long it took to write that is no part of it.
        """
        waited = ran = at = None
        if started_at is not None and before is not RUNNING:
            waited = started_at - job.run_at
        if started_at is not None and ended_at is not None:
            ran = ended_at - started_at
        if after.finished:
            now = self._now()
            at = now - now % MINUTE
        self._moves.append((job.task, job.owner, before, after, waited, ran, at))
        if len(self._moves) >= _PILE:
            self._count()
        if job.owner is not None:
            self._of_owner(job.owner)  # from now on there are owners

    def removed(self, gone: Mapping[Kind, int]) -> None:
        """Finished jobs have left the store."""
        for (owner, task, status), count in gone.items():
            self._all.counted(task, status, -count)
            if owner is not None:
                self._of_owner(owner).counted(task, status, -count)

    def _of_owner(self, owner: str) -> Ledger:
        if owner not in self._own:
            self._own[owner] = Ledger(self._now)
        return self._own[owner]

    def _count(self) -> None:
        moves, self._moves = self._moves, []
        self._counted += len(moves)
        for (task, owner, before, after, waited, ran, at), jobs in Counter(moves).items():
            if waited is not None:
                self._observer.started(task, waited, jobs)
            self._all.moved(task, before, after, ran, at=at, jobs=jobs)
            if owner is not None:
                self._of_owner(owner).moved(task, before, after, ran, at=at, jobs=jobs)
