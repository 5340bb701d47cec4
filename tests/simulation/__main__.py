"""Simulates many lives of the embedded engine, and says what that covered.

`python -m tests.simulation --seeds 4000` fails when a promise is broken, or when something that it
is there for never happened. `--seed 17 --verbose` replays one seed and prints its history.
"""

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests.simulation.book import Book
from tests.simulation.model import violations
from tests.simulation.report import Report
from tests.simulation.run import make_template, run_seeds, simulate


def main() -> int:
    """The exit code: 0 if all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=4_000, help="how many (4000)")
    parser.add_argument("--start", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--seconds", type=float, default=150.0, help="stop after these (150)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--verbose", action="store_true", help="print its history")
    options = parser.parse_args()
    if options.seed is not None:
        return replay(options.seed, verbose=options.verbose)
    seeds = range(options.start, options.start + options.seeds)
    report = run_parallel(seeds, options.seconds, options.jobs)
    print(report)
    if report.failed:
        first = min(report.failed)
        print(f"replay with: python -m tests.simulation --seed {first} --verbose")
    return 1 if report.failed or report.missed() else 0


def run_parallel(seeds: range, seconds: float, jobs: int) -> Report:
    """The seeds, dealt out to some processes."""
    began = time.monotonic()
    report = Report()
    hands = [seeds[first::jobs] for first in range(jobs)]
    with ProcessPoolExecutor(jobs) as pool:
        for part in pool.map(partial(run_seeds, deadline=began + seconds), hands):
            report.add(part)
    report.seconds = time.monotonic() - began
    return report


def replay(seed: int, *, verbose: bool) -> int:
    """Run one seed, and print what it broke."""
    with tempfile.TemporaryDirectory() as folder:
        world = simulate(seed, Path(folder), make_template(Path(folder) / "template"))
    if verbose:
        print(world.history, end="")
    broken = violations(Book(world.history))
    for what in broken:
        print(f"seed {seed}: {what}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
