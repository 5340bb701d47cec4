"""The parts of the benchmarks: each a module with `measure(quick) -> Iterator[Figure]`."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import Figure

Measure = Callable[[bool], Iterator[Figure]]


@dataclass(frozen=True)
class Part:
    """One part: what it measures, and whether it is short enough for the quick run."""

    module: str
    about: str
    in_quick: bool = True

    def measure(self, quick: bool) -> Iterator[Figure]:
        """Its figures, each as soon as it is known; raises `Missing` where a program is."""
        measure: Measure = importlib.import_module(self.module).measure
        return measure(quick)


PARTS: Final = {
    "scheduler": Part("benchmarks.scheduler", "a job to asyncio's own task: time and memory"),
    "http": Part("benchmarks.http", "a durable POST, and a GET, to bare FastAPI's"),
    "journal": Part("benchmarks.journal", "group commit to a commit per row; disk for a job"),
    "startup": Part("benchmarks.startup", "`awaitd serve` to ready, `awaitd health`"),
    "lists": Part("benchmarks.lists", "a page of a million jobs, by filter", in_quick=False),
    "restart": Part("benchmarks.restart", "a killed server's way back", in_quick=False),
    "soak": Part("benchmarks.soak", "a million jobs in a row", in_quick=False),
    "peers": Part("benchmarks.peers.compare", "submit and fetch, to the queues that people use"),
    "cluster": Part(
        "benchmarks.cluster", "both engines: latencies, CPU by processes", in_quick=False
    ),
    "scale": Part("benchmarks.scale", "100,000 running and 1,000,000 finished jobs"),
    "growth": Part("benchmarks.growth", "how the cost of a job grows", in_quick=False),
}
"""In the order in which they run and stand in the table."""
