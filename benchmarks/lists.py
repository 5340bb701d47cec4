"""Pages of jobs by filter, with a thousand and with a million finished jobs in the journal.

Run as `python -m benchmarks.lists [JOBS ...]`.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from app.engines.embedded.migrations import migrate
from app.engines.embedded.reader import Reader
from app.jobs.ids import JobIds, halves
from app.jobs.models import JobQuery
from app.scheduler import Status

TASKS = [f"task-{number}" for number in range(20)]
ROUNDS = 200

QUERIES = {
    "no filter": JobQuery(),
    "status": JobQuery(statuses=(Status.FAILED,)),
    "two statuses": JobQuery(statuses=(Status.FAILED, Status.COMPLETED)),
    "task": JobQuery(tasks=("task-7",)),
    "status and task": JobQuery(statuses=(Status.FAILED,), tasks=("task-0",)),
    "label": JobQuery(labels=(("order", "7"),)),
    "label and status": JobQuery(labels=(("order", "7"),), statuses=(Status.FAILED,)),
    "nothing fits": JobQuery(statuses=(Status.PENDING,), tasks=("task-7",)),
}

_INSERT = (
    "INSERT INTO jobs (high, low, version, status, task, priority, attempt, max_attempts, run_at, "
    "started_at, finished_at, labels, params, result) "
    "VALUES (?, ?, ?, ?, ?, 0, 1, 1, ?, ?, ?, ?, x'7b7d', x'31')"
)


def fill(db: apsw.Connection, jobs: int) -> list[int]:
    """Put so many finished jobs into the journal; gives their keys."""
    ids = JobIds(lambda: 1_700_000_000_000)
    keys = []
    with db:
        for number in range(jobs):
            high, low = halves(ids.next())
            at = high >> 16
            status = 3 if number % 100 == 0 else 2
            label = f'{{"order":"{number % 1000}"}}'
            row = (high, low, number + 1, status, TASKS[number % 20], at, at, at + 5, label)
            db.execute(_INSERT, row)
            db.execute("INSERT INTO labels VALUES ('order', ?, ?)", (str(number % 1000), high))
            keys.append(high)
    return keys


def time_of(call: Callable[[JobQuery], object], query: JobQuery) -> float:
    """The median of the milliseconds that a call takes."""
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        call(query)
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


def measure(jobs: int) -> dict[str, float]:
    """The milliseconds of a page for each filter, at this size of the journal."""
    with tempfile.TemporaryDirectory() as folder:
        db = apsw.Connection(str(Path(folder) / "journal.sqlite3"))
        migrate(db)
        keys = fill(db, jobs)
        reader = Reader(db, 0)
        halfway = JobQuery(created_before=(keys[len(keys) // 2] >> 16) + 1)
        times = {
            name: time_of(reader.list, query)
            for name, query in {**QUERIES, "halfway down": halfway}.items()
        }
        db.close()
    return times


def main() -> None:
    """Print a table: a row for each filter, a column for each size."""
    sizes = [int(size) for size in sys.argv[1:]] or [1_000, 1_000_000]
    tables = [measure(size) for size in sizes]
    print(f"{'a page of 50, in ms':24}" + "".join(f"{size:>12,}" for size in sizes))
    for name in tables[0]:
        print(f"{name:24}" + "".join(f"{table[name]:12.3f}" for table in tables))


if __name__ == "__main__":
    main()
