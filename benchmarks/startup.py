"""How long `awaitd serve` takes until it is ready, and `awaitd health` until it has answered."""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from benchmarks.figures import QUICK_ROUNDS, ROUNDS, Figure, Sample, number, run_rounds
from benchmarks.http import awaitd
from benchmarks.restart import starts

MILLION: Final = 1_000_000
MORE_ROUNDS: Final = 3
"""As many times more rounds, as they are short."""


def measure(quick: bool) -> Iterator[Figure]:
    """A start on an empty journal, on a full one, and a health check."""
    more = QUICK_ROUNDS + 1 if quick else MORE_ROUNDS * ROUNDS
    yield starts("`awaitd serve` to ready, empty journal", 0, 0, more)
    if not quick:
        yield starts(f"`awaitd serve` to ready, {MILLION:,} finished jobs", MILLION, 0, ROUNDS)
    yield _health(more)


def _health(rounds: int) -> Figure:
    with tempfile.TemporaryDirectory() as folder, awaitd(folder) as server:
        commands = {
            "health": [sys.executable, "-m", "app", "health", "--url", server.url],
            "python": [sys.executable, "-c", "pass"],
        }
        turns = {name: partial(_run, command) for name, command in commands.items()}
        measured = run_rounds(turns, rounds)
    return Figure(
        name="`awaitd health`",
        value=measured.median("health", "seconds"),
        unit="s",
        how=f"process start to end, {rounds} rounds, median",
        detail=f"CPU {number(measured.median('health', 'cpu'))} s; an empty Python takes "
        f"{number(measured.median('python', 'seconds'))} s",
    )


def _run(command: Sequence[str]) -> Sample:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": took, "cpu": cpu}
