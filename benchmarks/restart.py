"""How long a killed server takes until it is ready again, by what its journal holds.

Run as `python -m benchmarks.restart`. It needs about a gigabyte in the temporary directory.
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
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from app.engines.embedded.migrations import migrate
from app.jobs.ids import JobIds, halves
from benchmarks.lists import fill

ROUNDS: Final = 5
SIZES: Final = ((0, 0), (0, 10_000), (1_000_000, 10_000))
"""How many finished and how many unfinished jobs."""

SLOTS: Final = 1_000
"""How many of the unfinished were running: as many as may at once."""

_INSERT = (
    "INSERT INTO jobs (high, low, version, status, task, priority, attempt, max_attempts, run_at, "
    "started_at, params) VALUES (?, ?, ?, ?, 'sleep', 0, ?, 5, ?, ?, ?)"
)


def main() -> None:
    """Print a table: a row for each size of the journal."""
    print(f"{'finished':>10}{'unfinished':>12}{'start to ready, median and most':>36}")
    for finished, unfinished in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            journal = Path(folder) / "journal.sqlite3"
            make_journal(journal, finished, unfinished)
            times = [one_start(journal, unfinished) for _ in range(ROUNDS)]
        median, most = statistics.median(times), max(times)
        print(f"{finished:10,}{unfinished:12,}{median:27.2f} s{most:6.2f} s", flush=True)


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


def one_start(journal: Path, unfinished: int) -> float:
    """Seconds from the start of a process on a copy until it is ready with all that is unfinished.

    Jobs that ran are retried after a moment, so that all must be pending or running again by then.
    """
    data = journal.parent / "data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    shutil.copy(journal, data)
    os.sync()
    settings = {"AWAITD_DATA_DIR": str(data), "AWAITD_PORT": "0"}
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
        took = time.perf_counter() - began
        server.kill()
    assert ready["pending"] + ready["running"] == unfinished, ready
    return took


if __name__ == "__main__":
    main()
