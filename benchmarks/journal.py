"""What durable submission costs: group commit against a commit for each row.

Run as `python -m benchmarks.journal`. It needs some hundred megabytes in the temporary directory,
which should be on the disk that is to be measured.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.config import EmbeddedConfig
from app.jobs import task
from app.jobs.models import NewJob
from app.jobs.options import options_of
from app.jobs.registry import TaskRegistry, task_from

SECONDS: Final = 3.0
SUBMITTERS: Final = (1, 32, 256)
FINISHED: Final = 100_000

Submit = Callable[[], Awaitable[Any]]


@task
async def noop() -> None:
    """Does nothing."""


def main() -> None:
    """Measure, and print a table."""
    print(f"{'':28}{'submitters':>10}{'rows/s':>10}{'p50 ms':>10}{'p99 ms':>10}")
    for submitters in SUBMITTERS:
        _show("engine: a no-op job, run", submitters, asyncio.run(_engine(submitters)))
    for submitters in SUBMITTERS:
        _show("engine: a job for later", submitters, asyncio.run(_engine(submitters, delay=3600)))
    for submitters in SUBMITTERS:
        _show("apsw: a commit for each row", submitters, asyncio.run(_plain(submitters)))
    rate, size = asyncio.run(_finished())
    print(
        f"\n{FINISHED:,} small jobs run to their end: {rate:,.0f} a second, {size:.0f} bytes each"
    )


async def _engine(submitters: int, delay: float = 0.0) -> list[float]:
    new = NewJob(task="noop", delay=delay)
    with tempfile.TemporaryDirectory() as folder:
        async with _open_engine(Path(folder)) as engine:
            return await _measure(submitters, lambda: engine.submit(new))


async def _plain(submitters: int) -> list[float]:
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(apsw.Connection(f"{folder}/rows.sqlite3")) as db,
    ):
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")
        db.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, status, task, run_at, params)")
        lock = asyncio.Lock()

        async def submit() -> None:
            async with lock:
                await asyncio.to_thread(_insert, db)

        return await _measure(submitters, submit)


async def _finished() -> tuple[float, float]:
    """Jobs a second from submission to end, and bytes in the file for each that has ended."""
    with tempfile.TemporaryDirectory() as folder:
        async with _open_engine(Path(folder)) as engine:
            began = time.perf_counter()
            left = iter(range(FINISHED))

            async def submitter() -> None:
                for _ in left:
                    await engine.submit(NewJob(task="noop", params=b"{}"))

            await _together(256, submitter)
            while engine.health().running or engine.health().pending:  # noqa: ASYNC110  a moment
                await asyncio.sleep(0.001)
            rate = FINISHED / (time.perf_counter() - began)
        return rate, _size(Path(folder)) / FINISHED


async def _measure(submitters: int, submit: Submit) -> list[float]:
    """The seconds that each submission took, of so many submitters at once."""
    took: list[float] = []
    end = time.perf_counter() + SECONDS

    async def submitter() -> None:
        before = time.perf_counter()
        while before < end:
            await submit()
            after = time.perf_counter()
            took.append(after - before)
            before = after

    await _together(submitters, submitter)
    return took


async def _together(count: int, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(function())


def _open_engine(folder: Path) -> EmbeddedEngine:
    options = options_of(noop)
    assert options is not None
    config = EmbeddedConfig(folder=folder, max_running=1_000, max_pending=1_000_000)
    return EmbeddedEngine(TaskRegistry([task_from(noop, options)]), config)


def _insert(db: apsw.Connection) -> None:
    with db:
        db.execute("INSERT INTO jobs VALUES (NULL, 0, 'noop', ?, '{}')", (time.time_ns(),))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _show(what: str, submitters: int, took: list[float]) -> None:
    percentiles = statistics.quantiles(took, n=100)
    rate = len(took) / SECONDS
    print(
        f"{what:28}{submitters:10}{rate:10,.0f}"
        f"{percentiles[49] * 1e3:10.2f}{percentiles[98] * 1e3:10.2f}"
    )


if __name__ == "__main__":
    main()
