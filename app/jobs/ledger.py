"""What the engine counts: jobs by task and status, ends by time, durations."""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from app.jobs.figures import Kind, Period, Quantiles, TaskFigures
from app.jobs.live import LiveJob
from app.jobs.models import Job, Millis
from app.jobs.observer import Observer
from app.scheduler import Status

MINUTE: Final = 60_000
QUARTER: Final = 15 * MINUTE
MINUTES: Final = 60
QUARTERS: Final = 96
REMEMBERED: Final = 200
"""Durations of a task's earlier jobs that are known after a restart."""

_STEPS_PER_DOUBLING: Final = 8
"""Durations are counted in steps of 9 %, which is how exact a quantile is."""


def step_of(duration: Millis) -> int:
    """The step that a duration counts as."""
    return round(math.log2(max(duration, 1)) * _STEPS_PER_DOUBLING)


class Histogram:
    """How many durations of each magnitude there were, counted by their steps."""

    __slots__ = ("_counts", "_due", "_median", "_total")

    def __init__(self) -> None:
        self._counts: defaultdict[int, int] = defaultdict(int)
        self._total = 0
        self._median: float | None = None
        self._due = 1

    def add(self, step: int) -> None:
        """Count one duration."""
        self._total += 1
        self._counts[step] += 1

    def median(self) -> float | None:
        """What half stay below, in seconds; found anew for each sixteenth more that was counted.

        Every answer about a job that runs asks for it.
        """
        if self._total >= self._due and (quantiles := self.quantiles()) is not None:
            self._median = quantiles.p50
            self._due = self._total + self._total // 16 + 1
        return self._median

    def quantiles(self) -> Quantiles | None:
        """The duration that half, nine in ten and 99 in a hundred stay below, in seconds."""
        if not self._total:
            return None
        return Quantiles(*(self._at(math.ceil(q * self._total)) for q in (0.5, 0.9, 0.99)))

    def _at(self, rank: int) -> float:
        seen = 0
        for step in sorted(self._counts):
            seen += self._counts[step]
            if seen >= rank:
                break
        return round(2 ** (step / _STEPS_PER_DOUBLING) / 1000, 3)


class Series:
    """The ends of jobs in the last `length` periods of `width` milliseconds."""

    def __init__(self, width: Millis, length: int) -> None:
        self._width = width
        self._periods: deque[_Period] = deque(maxlen=length)
        self._end: Millis = 0
        """Of the newest period."""

    def add(self, status: Status, step: int | None, now: Millis) -> None:
        """Count one end, with the step of its last attempt's duration if it ever started."""
        if now >= self._end:
            self._advance(now)
        period = self._periods[-1]
        period.ended[status] += 1
        if step is not None:
            period.durations.add(step)

    def periods(self, now: Millis) -> list[Period]:
        """Every period up to now, oldest first."""
        self._advance(now)
        return [Period(p.start, dict(p.ended), p.durations.quantiles()) for p in self._periods]

    def _advance(self, now: Millis) -> None:
        """Begin the periods up to now; a clock that was set back counts into the newest."""
        newest = now - now % self._width
        if not self._periods:
            self._periods.append(_Period(newest))
        gap = (newest - self._periods[-1].start) // self._width
        for missing in range(min(gap, self._periods.maxlen or gap) - 1, -1, -1):
            self._periods.append(_Period(newest - missing * self._width))
        self._end = self._periods[-1].start + self._width


class _Period:
    __slots__ = ("durations", "ended", "start")

    def __init__(self, start: Millis) -> None:
        self.start = start
        self.ended: defaultdict[Status, int] = defaultdict(int)
        self.durations = Histogram()


class Ledger:
    """Counts every change of a job's status."""

    def __init__(self, now: Callable[[], Millis], observer: Observer | None = None) -> None:
        self._now = now
        self._observer = observer
        self.since = now()
        """Since when ends are counted."""
        self._jobs: defaultdict[str, Counter[Status]] = defaultdict(Counter)
        self._durations: defaultdict[str, Histogram] = defaultdict(Histogram)
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
        self, task: str, before: Status | None, after: Status, started_at: Millis | None = None
    ) -> None:
        """A job has a new status: `before` is None for a new one.

        `started_at` is that of the attempt with which it ended, if there was one.
        """
        counts = self._jobs[task]
        if before is not None:
            counts[before] -= 1
        counts[after] += 1
        if after.finished:
            self._ended(task, after, started_at)

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
        return self._minutes.periods(self._now())

    def quarter_hours(self) -> list[Period]:
        """The ends of jobs, quarter of an hour by quarter of an hour for a day."""
        return self._quarters.periods(self._now())

    def _ended(self, task: str, status: Status, started_at: Millis | None) -> None:
        now = self._now()
        ran = None if started_at is None else now - started_at
        if self._observer is not None:
            self._observer.ended(task, status, ran)
        step = None if ran is None else step_of(ran)
        if step is not None and status is Status.COMPLETED:
            self._durations[task].add(step)
        self._minutes.add(status, step, now)
        self._quarters.add(status, step, now)


class Ledgers:
    """A ledger of all jobs, and one for each owner's own."""

    def __init__(self, now: Callable[[], Millis]) -> None:
        self._now = now
        self.observer = Observer()
        """Sees everybody's jobs."""
        self._all = Ledger(now, self.observer)
        self._own: dict[str, Ledger] = {}
        self.since = self._all.since
        """Since when ends are counted."""

    def load(self, counts: Mapping[Kind, int], durations: Mapping[str, Iterable[Millis]]) -> None:
        """Begin with what the store holds."""
        self._all.load(durations)
        self.recount(counts)

    def recount(self, counts: Mapping[Kind, int]) -> None:
        """There are these jobs, whatever was counted before; ends and durations stay."""
        for ledger in (self._all, *self._own.values()):
            ledger.recount()
        for (owner, task, status), count in counts.items():
            self.of(owner).counted(task, status, count)

    def of(self, owner: str | None) -> Ledger:
        """The ledger of an owner's jobs; None for all."""
        if owner is None:
            return self._all
        if owner not in self._own:
            self._own[owner] = Ledger(self._now)
        return self._own[owner]

    @property
    def has_owners(self) -> bool:
        """Whether any job has an owner."""
        return bool(self._own)

    def expected(self, job: Job) -> float | None:
        """Seconds until the job should end, by what earlier ones took; None if none is known."""
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
    ) -> None:
        """A job has a new status: `before` is None for a new one.

        `started_at` is that of its attempt, if it starts one or has ended with one.
        """
        if started_at is not None and before is not Status.RUNNING:
            self.observer.started(job.task, started_at - job.run_at)
        self._all.moved(job.task, before, after, started_at)
        if job.owner is not None:
            self.of(job.owner).moved(job.task, before, after, started_at)

    def removed(self, gone: Mapping[Kind, int]) -> None:
        """Finished jobs have left the store."""
        for (owner, task, status), count in gone.items():
            self._all.counted(task, status, -count)
            if owner is not None:
                self.of(owner).counted(task, status, -count)
