"""Pages of jobs by filter, with a thousand and with a million finished jobs in the journal.

The journal's reader alone, without HTTP.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw

from app.engines.embedded.migrations import migrate
from app.engines.embedded.reader import Reader
from app.jobs.ids import JobIds, halves
from app.jobs.models import JobQuery
from app.scheduler import Status
from benchmarks.figures import Figure, number

TASKS = [f"task-{number}" for number in range(20)]
ROUNDS = 200
SIZES = (1_000, 1_000_000)
QUICK_SIZES = (1_000, 20_000)

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


def measure(quick: bool) -> Iterator[Figure]:
    """The milliseconds of a page for each filter, with few jobs and with many."""
    small, large = QUICK_SIZES if quick else SIZES
    few, many = times(small), times(large)
    for name, value in many.items():
        yield Figure(
            name=f"page of 50 of {large:,} jobs, {name}",
            value=value,
            unit="ms",
            how=f"in the journal's reader, median of {ROUNDS}",
            detail=f"of {small:,} jobs: {number(few[name])} ms",
        )


def times(jobs: int) -> dict[str, float]:
    """The milliseconds of a page for each filter, at this size of the journal."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(apsw.Connection(str(Path(folder) / "journal.sqlite3"))) as db,
    ):
        migrate(db)
        keys = fill(db, jobs)
        reader = Reader(db, 0)
        halfway = JobQuery(created_before=(keys[len(keys) // 2] >> 16) + 1)
        queries = {**QUERIES, "halfway down": halfway}
        return {name: time_of(reader.list, query) for name, query in queries.items()}
