"""The simulation: some seeds in the suite, thousands in CI; and that a seed says all there is."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.__main__ import run_parallel
from tests.simulation.report import EXPECTED, Report
from tests.simulation.run import run_seeds

ROOT = Path(__file__).parents[2]


def test_seeds() -> None:
    """The promises hold, in simulations which crash and fail and cancel as they should."""
    report = run_seeds(range(12), deadline=math.inf)
    assert not report.failed, str(report)
    assert len(report.missed()) < len(EXPECTED) / 3, str(report)


@pytest.mark.parametrize("seed", [4, 17])
def test_same_seed_same_history(seed: int) -> None:
    """A seed has one history, byte for byte, in whatever process it runs."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed), "--verbose"]
    histories = [
        subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            timeout=50,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert histories[0] == histories[1]
    assert len(histories[0].splitlines()) > 50


def test_another_seed_another_history() -> None:
    """Seeds differ in what happens, not in their number alone."""
    reports = [run_seeds([seed], deadline=math.inf) for seed in range(3)]
    assert len({report.events for report in reports}) > 2


def test_report() -> None:
    """What never happened is named, and so is what was broken, with its seed."""
    report = Report(seeds=1, seconds=1.0, failed={7: ["a rule: what broke it"]})
    report.covered.update(EXPECTED[1:])
    assert report.missed() == [EXPECTED[0]]
    assert f"0  {EXPECTED[0]}: NEVER" in str(report)
    assert "seed 7: a rule: what broke it" in str(report)


def test_deadline() -> None:
    """A run ends at its deadline, however many seeds are left."""
    assert run_parallel(range(1_000_000), seconds=0.0, jobs=1).seeds == 0


def test_nothing_covered_is_a_failure() -> None:
    """A run that never met what it is there for fails, though no promise is broken."""
    command = [sys.executable, "-m", "tests.simulation", "--seeds", "1", "--jobs", "1"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert run.returncode == 1
    assert "NEVER" in run.stdout
    assert "broke" not in run.stdout
