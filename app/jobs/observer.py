"""What an engine has seen since its process began, for those who watch it over time."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from app.jobs.models import Millis
from app.scheduler import Status

OF_JOBS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 21_600)
"""Seconds that a job waits or runs: it may be a moment, it may be hours."""

OF_ANSWERS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds that an answer takes, of those included that wait for a job."""

_OF_COMMITS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
_CHANGES: Final = (1, 2, 5, 10, 25, 50, 100, 250)


class Buckets:
    """How many values there were up to each of some bounds, and above the last; and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float, count: int = 1) -> None:
        """Count a value, once or more often."""
        self.counts[bisect_left(self.bounds, value)] += count
        self.sum += value * count


class Commits:
    """The commits of the store that this process made: their seconds, and the changes in each."""

    def __init__(self) -> None:
        self.seconds = Buckets(_OF_COMMITS)
        self.changes = Buckets(_CHANGES)

    def add(self, seconds: float, changes: int) -> None:
        """Count one commit."""
        self.seconds.add(seconds)
        self.changes.add(changes)


class Observer:
    """The ends of jobs, how long they waited until they started, how long they ran; by task."""

    def __init__(self) -> None:
        self.ends: defaultdict[str, defaultdict[Status, int]] = defaultdict(_no_ends)
        self.durations: defaultdict[str, Buckets] = defaultdict(_of_jobs)
        """Seconds of the attempts that jobs ended with."""
        self.waits: defaultdict[str, Buckets] = defaultdict(_of_jobs)
        """Seconds from when an attempt might start to when it did."""

    def expect(self, tasks: Iterable[str]) -> None:
        """Jobs of these tasks may end: that none has yet is a number, too."""
        for task in tasks:
            for status in Status:
                if status.finished:
                    self.ends[task][status] += 0

    def started(self, task: str, waited: Millis, jobs: int) -> None:
        """Attempts have started, each of them after so long."""
        self.waits[task].add(max(waited, 0) / 1000, jobs)  # clocks are set back, too

    def ended(self, task: str, status: Status, ran: Millis | None, jobs: int) -> None:
        """Jobs have ended; `ran` is how long the last attempt of each took, if it ever started."""
        self.ends[task][status] += jobs
        if ran is not None:
            self.durations[task].add(max(ran, 0) / 1000, jobs)


def _of_jobs() -> Buckets:
    return Buckets(OF_JOBS)


def _no_ends() -> defaultdict[Status, int]:
    return defaultdict(int)
