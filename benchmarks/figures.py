"""Figures, and the interleaved rounds that they come from."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Sample = Mapping[str, float]
"""What one contestant's turn measured, by what it is: `{"cpu_us": 81.0, "p99_ms": 3.2}`."""

TIMES: Final = "\N{MULTIPLICATION SIGN}"

ROUNDS: Final = 5
QUICK_ROUNDS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value, with what it must and should be.

    `unit` is empty for a ratio. `how` says connections, rounds and the like, `detail` the absolute
    figures that a ratio is made of.
    """

    name: str
    value: float
    unit: str = ""
    must: float | None = None
    aim: float | None = None
    is_floor: bool = False
    """True: must and aim are the least, else the most."""
    how: str = ""
    detail: str = ""

    @property
    def reached(self) -> str:
        """`aim`, `must` or `no`: the best that the value has reached; empty without a must."""
        if self.must is None:
            return ""
        if self.aim is not None and self._fits(self.aim):
            return "aim"
        return "must" if self._fits(self.must) else "no"

    def _fits(self, limit: float) -> bool:
        return self.value >= limit if self.is_floor else self.value <= limit


@dataclass(frozen=True)
class Rounds:
    """What each contestant measured, a sample for each round."""

    samples: Mapping[str, Sequence[Sample]]

    def median(self, contestant: str, measure: str) -> float:
        """The median of its rounds."""
        return statistics.median(self._values(contestant, measure))

    def ratio(self, measure: str, of: str, to: str) -> float:
        """The median over the rounds of one contestant's value to another's in the same round."""
        pairs = zip(self._values(of, measure), self._values(to, measure), strict=True)
        return statistics.median(one / other for one, other in pairs)

    def spread(self, contestant: str, measure: str) -> str:
        """The least and the most of its rounds, for a detail: `5.1 to 5.9`."""
        values = self._values(contestant, measure)
        return f"{number(min(values))} to {number(max(values))}"

    def _values(self, contestant: str, measure: str) -> list[float]:
        return [sample[measure] for sample in self.samples[contestant]]


def run_rounds(contestants: Mapping[str, Callable[[], Sample]], rounds: int) -> Rounds:
    """Let each contestant take a turn in every round, another one first each time.

    So that what else happens on the machine meanwhile touches all of them alike.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contestants}
    names = list(contestants)
    for _ in range(rounds):
        for name in names:
            samples[name].append(contestants[name]())
        names.append(names.pop(0))
    return Rounds(samples)


def percentile(values: Iterable[float], percent: float) -> float:
    """The value that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


def number(value: float) -> str:
    """As people read it: three digits that count, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
