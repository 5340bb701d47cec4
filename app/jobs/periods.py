"""Ends of jobs by time, and how long they took."""

import math
from collections import defaultdict, deque
from typing import Final

from app.jobs.figures import Period, Quantiles
from app.jobs.models import Millis
from app.scheduler import Status

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

    def add(self, step: int, count: int = 1) -> None:
        """Count so many durations."""
        self._total += count
        self._counts[step] += count

    def include(self, other: "Histogram") -> None:
        """Count those of another one, too."""
        self._total += other._total
        for step, count in other._counts.items():
            self._counts[step] += count

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


class Ends:
    """The ends of jobs in one period, which begins at `start`."""

    __slots__ = ("durations", "ended", "start")

    def __init__(self, start: Millis) -> None:
        self.start = start
        self.ended: defaultdict[Status, int] = defaultdict(int)
        self.durations = Histogram()

    def add(self, status: Status, step: int | None, count: int) -> None:
        """Count ends that are alike; `step` is that of their last attempt's duration, if any."""
        self.ended[status] += count
        if step is not None:
            self.durations.add(step, count)

    def include(self, other: "Ends") -> None:
        """Count those of another period, too."""
        for status, count in other.ended.items():
            self.ended[status] += count
        self.durations.include(other.durations)

    def period(self) -> Period:
        """What there was."""
        return Period(self.start, dict(self.ended), self.durations.quantiles())


class Series:
    """The last `length` periods of `width` milliseconds."""

    def __init__(self, width: Millis, length: int) -> None:
        self._width = width
        self._periods: deque[Ends] = deque(maxlen=length)

    def add(self, ends: Ends) -> None:
        """Count the ends of a shorter period, or of a part of one."""
        self._advance(ends.start)
        self._periods[-1].include(ends)

    def periods(self, now: Millis) -> list[Period]:
        """Every period up to now, oldest first."""
        self._advance(now)
        return [ends.period() for ends in self._periods]

    def _advance(self, now: Millis) -> None:
        """Begin the periods up to now; a clock that was set back counts into the newest."""
        newest = now - now % self._width
        if not self._periods:
            self._periods.append(Ends(newest))
        gap = (newest - self._periods[-1].start) // self._width
        for missing in range(min(gap, self._periods.maxlen or gap) - 1, -1, -1):
            self._periods.append(Ends(newest - missing * self._width))
