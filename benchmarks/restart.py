"""How long a killed server takes until it is ready again, by what its journal holds.

It needs about a gigabyte in the temporary directory.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from app.engines.embedded.migrations import migrate
from app.jobs.ids import JobIds, halves
from benchmarks.figures import QUICK_ROUNDS, ROUNDS, Figure, number
from benchmarks.lists import fill
from benchmarks.processes import cpu_seconds

SIZES: Final = ((0, 10_000), (1_000_000, 10_000))
"""How many finished and how many unfinished jobs."""

SLOTS: Final = 1_000
"""How many of the unfinished were running: as many as may at once."""

_INSERT = (
    "INSERT INTO jobs (high, low, version, status, task, priority, attempt, max_attempts, run_at, "
    "started_at, params) VALUES (?, ?, ?, ?, 'sleep', 0, ?, 5, ?, ?, ?)"
)


@dataclass(frozen=True)
class Start:
    """One start of `awaitd serve`, from its process to ready."""

    seconds: float
    cpu: float


def measure(quick: bool) -> Iterator[Figure]:
    """Seconds from start to ready, for each size of the journal."""
    for finished, unfinished in SIZES[:1] if quick else SIZES:
        name = f"restart with {finished:,} finished and {unfinished:,} unfinished jobs"
        yield starts(name, finished, unfinished, QUICK_ROUNDS if quick else ROUNDS)


def starts(name: str, finished: int, unfinished: int, rounds: int) -> Figure:
    """The median of so many starts on copies of a journal."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.sqlite3"
        make_journal(journal, finished, unfinished)
        one_start(journal, unfinished)  # so that no file is read for the first time
        each = [one_start(journal, unfinished) for _ in range(rounds)]
    return Figure(
        name=name,
        value=statistics.median(start.seconds for start in each),
        unit="s",
        how=f"from the process's start until /readyz answers, {rounds} rounds, median",
        detail=f"most {number(max(start.seconds for start in each))} s; "
        f"CPU {number(statistics.median(start.cpu for start in each))} s",
    )


def make_journal(path: Path, finished: int, unfinished: int) -> None:
    """What a killed server leaves: every slot taken, half of what waits due at once."""
    with closing(apsw.Connection(str(path))) as db:
        migrate(db)
        fill(db, finished)
        now = time.time_ns() // 1_000_000
        ids = JobIds(lambda: now)
        with db:
            for number in range(unfinished):
                runs = int(number < SLOTS)
                run_at = now if runs or number % 2 else now + 3_600_000
                values = (finished + number + 1, runs, runs, run_at, run_at if runs else None)
                db.execute(_INSERT, (*halves(ids.next()), *values, b'{"seconds":3600}'))


def one_start(journal: Path, unfinished: int) -> Start:
    """A start of a process on a copy, until it is ready with all that is unfinished.

    Jobs that ran are retried after a moment, so that all must be pending or running again by then.
    """
    data = journal.parent / "data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    shutil.copy(journal, data)
    os.sync()
    settings = {"AWAITD_DATA_DIR": str(data), "AWAITD_PORT": "0", "AWAITD_RETENTION": "3153600000"}
    began = time.perf_counter()
    command = [sys.executable, "-m", "app", "serve"]
    with subprocess.Popen(
        command,
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        with urllib.request.urlopen(url + "/readyz") as answer:
            ready = json.load(answer)
        took = Start(time.perf_counter() - began, cpu_seconds(server.pid))
        server.kill()
    assert ready["pending"] + ready["running"] == unfinished, ready
    return took
