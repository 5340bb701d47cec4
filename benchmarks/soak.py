"""A million jobs through one engine whose retention is short: memory and file have to stay flat.

Run as `python -m benchmarks.soak [JOBS]`.
"""

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.config import EmbeddedConfig
from app.jobs import task
from app.jobs.models import NewJob
from app.jobs.options import options_of
from app.jobs.registry import TaskRegistry, task_from
from app.scheduler import Status

SUBMITTERS: Final = 64
RETENTION: Final = 5.0
ROWS: Final = 10


@task(retries=1, backoff=0)
async def work(number: int) -> dict[str, int]:
    """Every hundredth fails, and one in a thousand both times."""
    if number % 100 == 0:
        raise ValueError(f"job {number}")
    return {"number": number}


def main() -> None:
    """Run them, and print a row for every tenth part."""
    logging.disable(logging.WARNING)  # the traceback of each job that fails
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"{'jobs':>10}{'kept':>10}{'resident MB':>14}{'file MB':>10}{'log MB':>10}{'jobs/s':>10}")
    asyncio.run(soak(jobs))


async def soak(jobs: int) -> None:
    """Submit so many jobs with keys and labels, a few at a time."""
    options = options_of(work)
    assert options is not None
    with tempfile.TemporaryDirectory() as folder:
        config = EmbeddedConfig(
            folder=Path(folder), retention=RETENTION, housekeeping_every=0.5, max_pending=10_000_000
        )
        async with EmbeddedEngine(TaskRegistry([task_from(work, options)]), config) as engine:
            for part in range(ROWS):
                began = time.perf_counter()
                numbers = iter(range(part * jobs // ROWS, (part + 1) * jobs // ROWS))
                async with asyncio.TaskGroup() as group:
                    for _ in range(SUBMITTERS):
                        group.create_task(submit(engine, numbers))
                rate = jobs / ROWS / (time.perf_counter() - began)
                kept = sum((await engine.figures()).jobs.values())
                show(Path(folder), (part + 1) * jobs // ROWS, kept, rate)


async def submit(engine: EmbeddedEngine, numbers: Iterator[int]) -> None:
    """Submit one job after another, each waited for."""
    for number in numbers:
        new = NewJob(
            task="work",
            params=b'{"number":%d}' % number,
            labels={"shard": str(number % 50)},
            idempotency_key=f"soak-{number}",
            fingerprint=b"f",
        )
        job = (await engine.submit(new)).job
        job = await engine.wait(job.id, timeout=60)
        assert job.status is (Status.COMPLETED if number % 100 else Status.FAILED), job


def show(folder: Path, done: int, kept: int, rate: float) -> None:
    """Print a row."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    file = (folder / "journal.sqlite3").stat().st_size / 1e6
    log = (folder / "journal.sqlite3-wal").stat().st_size / 1e6
    print(f"{done:10,}{kept:10,}{resident:14.0f}{file:10.0f}{log:10.0f}{rate:10,.0f}", flush=True)


if __name__ == "__main__":
    main()
