"""What durable submission costs: group commit against a commit for each row.

On the disk of the temporary directory. Rows a second are by wall clock, since most of a commit is
waiting for the disk; CPU time stands beside them.
"""

import asyncio
import contextlib
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import apsw
import uvloop
from msgspec.structs import replace

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.config import EmbeddedConfig
from app.engines.embedded.journal import Journal
from app.jobs.ids import JobIds
from app.jobs.loading import load_modules
from app.jobs.models import Job, NewJob
from app.jobs.registry import TaskRegistry
from app.scheduler import Status
from benchmarks.figures import (
    QUICK_ROUNDS,
    ROUNDS,
    Figure,
    Rounds,
    Sample,
    number,
    percentile,
    run_rounds,
)

SUBMITTERS: Final = (1, 32, 256)
LIMITS: Final = {32: (12.0, 18.0), 256: (30.0, 45.0)}

SECONDS: Final = 2.0
QUICK_SECONDS: Final = 0.5
READY: Final = {1: 20_000, 32: 120_000, 256: 150_000}
"""Rows a second that are made before the clock starts, by submitters: more than are written."""

FINISHED: Final = 100_000
QUICK_FINISHED: Final = 10_000

Submit = Callable[[], Awaitable[object]]
Open = Callable[[Path], contextlib.AbstractAsyncContextManager[Submit]]


def measure(quick: bool) -> Iterator[Figure]:
    """Rows a second by submitters, then the disk that a finished job takes."""
    seconds, rounds = (QUICK_SECONDS, QUICK_ROUNDS) if quick else (SECONDS, ROUNDS)
    for submitters in SUBMITTERS:
        ways: dict[str, Open] = {
            "journal, ready rows": partial(_journal, round(READY[submitters] * seconds)),
            "engine, whole jobs": _engine,
            "commit per row": _commit_per_row,
        }
        turns: dict[str, Callable[[], Sample]] = {
            name: partial(_turn, way, submitters, seconds) for name, way in ways.items()
        }
        how = f"rows a second, {submitters} submitters, {rounds} rounds of {seconds:g} s, median"
        yield from _figures(submitters, run_rounds(turns, rounds), how)
    yield uvloop.run(_disk(QUICK_FINISHED if quick else FINISHED))


def _figures(submitters: int, measured: Rounds, how: str) -> Iterator[Figure]:
    at = f"{submitters} submitter{'s' if submitters > 1 else ''}"
    must, aim = LIMITS.get(submitters, (None, None))
    detail = "; ".join(
        f"{title}: " + ", ".join(f"{name} {number(measured.median(name, what))}" for name in names)
        for title, what in (
            ("rows/s", "rate"),
            ("p50 ms", "p50_ms"),
            ("p99 ms", "p99_ms"),
            ("CPU µs a row", "cpu_us"),
        )
        for names in (tuple(measured.samples),)
    )
    yield Figure(
        name=f"group commit to commit per row, {at}",
        value=measured.ratio("rate", "journal, ready rows", "commit per row"),
        must=must,
        aim=aim,
        is_floor=True,
        how=how,
        detail=detail,
    )
    yield Figure(
        name=f"whole jobs, run and kept, to a commit per bare row, {at}",
        value=measured.ratio("rate", "engine, whole jobs", "commit per row"),
        is_floor=True,
        how=how,
        detail="each is checked, written, run, and its outcome written too",
    )


def _turn(open_way: Open, submitters: int, seconds: float) -> Sample:
    return uvloop.run(_measured(open_way, submitters, seconds))


async def _measured(open_way: Open, submitters: int, seconds: float) -> Sample:
    with tempfile.TemporaryDirectory() as folder:
        async with open_way(Path(folder)) as submit:
            took: list[float] = []
            gc.collect()
            gc.freeze()  # as awaitd does: rows that are ready are not looked at again and again
            cpu, began = time.process_time(), time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(submitters):
                    group.create_task(_submit_until(began + seconds, submit, took))
            elapsed = time.perf_counter() - began
            cpu = time.process_time() - cpu
    gc.unfreeze()
    return {
        "rate": len(took) / elapsed,
        "p50_ms": percentile(took, 50) * 1e3,
        "p99_ms": percentile(took, 99) * 1e3,
        "cpu_us": cpu / len(took) * 1e6,
    }


async def _submit_until(end: float, submit: Submit, took: list[float]) -> None:
    before = time.perf_counter()
    while before < end:
        await submit()
        after = time.perf_counter()
        took.append(after - before)
        before = after


@contextlib.asynccontextmanager
async def _journal(rows: int, folder: Path) -> AsyncIterator[Submit]:
    """The journal alone, with jobs that only have to be written."""
    journal = Journal(folder, 86_400_000)
    journal.open(0, lambda reader: None)
    ready = _ready_jobs(rows)
    loop = asyncio.get_running_loop()

    async def submit() -> None:
        done: asyncio.Future[Any] = loop.create_future()
        journal.insert(next(ready), None, None, done.set_result, done.set_exception)
        await done

    yield submit
    await journal.close()


def _ready_jobs(count: int) -> Iterator[Job]:
    now = time.time_ns() // 1_000_000
    ids = JobIds(lambda: now)
    job = Job(
        id=ids.next(),
        task="noop",
        status=Status.PENDING,
        params=b"{}",
        version=0,
        max_attempts=1,
        run_at=now,
    )
    return iter([replace(job, id=ids.next(), version=number) for number in range(1, count + 1)])


@contextlib.asynccontextmanager
async def _engine(folder: Path) -> AsyncIterator[Submit]:
    new = NewJob(task="noop")
    async with open_engine(folder) as engine:
        yield partial(engine.submit, new)


@contextlib.asynccontextmanager
async def _commit_per_row(folder: Path) -> AsyncIterator[Submit]:
    """As applications do it: a table, a connection, each row committed in a thread."""
    with contextlib.closing(apsw.Connection(f"{folder}/rows.sqlite3")) as db:
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")
        db.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, status, task, run_at, params)")
        lock = asyncio.Lock()

        async def submit() -> None:
            async with lock:
                await asyncio.to_thread(_insert, db)

        yield submit


def _insert(db: apsw.Connection) -> None:
    with db:
        db.execute("INSERT INTO jobs VALUES (NULL, 0, 'noop', ?, '{}')", (time.time_ns(),))


async def _disk(jobs: int) -> Figure:
    """Run so many to their end, leave, and look how large the folder is."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_engine(Path(folder)) as engine:
            empty = _size(Path(folder))
            began = time.perf_counter()
            left = iter(range(jobs))
            async with asyncio.TaskGroup() as group:
                for _ in range(256):
                    group.create_task(_submit_all(engine, left))
            while engine.health().running or engine.health().pending:  # noqa: ASYNC110  a moment
                await asyncio.sleep(0.001)
            rate = jobs / (time.perf_counter() - began)
        size = _size(Path(folder))
    return Figure(
        name="disk for a finished small job",
        value=(size - empty) / jobs,
        unit="bytes",
        must=250,
        aim=180,
        how=f"{jobs:,} no-op jobs, the data directory after a clean stop, less an empty one's",
        detail=f"{number(size / 1e6)} MB; run at {number(rate)} jobs/s by 256 submitters",
    )


async def _submit_all(engine: EmbeddedEngine, left: Iterator[int]) -> None:
    for _ in left:
        await engine.submit(NewJob(task="noop"))


def open_engine(folder: Path) -> EmbeddedEngine:
    """An engine with the tasks of the benchmarks."""
    registry = TaskRegistry.from_modules(load_modules(["benchmarks.tasks"]))
    config = EmbeddedConfig(folder=folder, max_running=1_000, max_pending=1_000_000)
    return EmbeddedEngine(registry, config)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
