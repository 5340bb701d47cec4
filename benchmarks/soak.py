"""A million jobs through one engine whose retention is short: memory and file have to stay flat."""

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.config import EmbeddedConfig
from app.jobs import task
from app.jobs.models import NewJob
from app.jobs.options import options_of
from app.jobs.registry import TaskRegistry, task_from
from app.scheduler import Status
from benchmarks.figures import Figure, number
from benchmarks.processes import resident_bytes

SUBMITTERS: Final = 64
RETENTION: Final = 5.0
PARTS: Final = 10
JOBS: Final = 1_000_000
QUICK_JOBS: Final = 10_000

NAMES: Final = {
    "resident": "resident memory at the end",
    "file": "the journal's file at the end",
    "log": "its write-ahead log at the end",
    "kept": "jobs in the journal at the end",
    "rate": "submitted, run and waited for",
}


@task(retries=1, backoff=0)
async def work(number: int) -> dict[str, int]:
    """Every hundredth fails, and one in a thousand both times."""
    if number % 100 == 0:
        raise ValueError(f"job {number}")
    return {"number": number}


@dataclass(frozen=True)
class Stage:
    """How things stood after a tenth of the jobs; megabytes."""

    kept: int
    resident: float
    file: float
    log: float
    rate: float


def measure(quick: bool) -> Iterator[Figure]:
    """Memory and file at the end, with each tenth of the way as detail."""
    jobs = QUICK_JOBS if quick else JOBS
    logging.disable(logging.WARNING)  # the traceback of each job that fails
    try:
        stages = asyncio.run(soak(jobs))
    finally:
        logging.disable(logging.NOTSET)
    how = f"{jobs:,} jobs by {SUBMITTERS} submitters, kept for {RETENTION:g} s each"
    for what in ("resident", "file", "log", "kept", "rate"):
        values = [getattr(stage, what) for stage in stages]
        tenths = ", ".join(number(value) for value in values)
        unit = {"kept": "jobs", "rate": "jobs/s"}.get(what, "MB")
        name = f"soak, {NAMES[what]}"
        yield Figure(name=name, value=values[-1], unit=unit, how=how, detail=f"tenths: {tenths}")


async def soak(jobs: int) -> list[Stage]:
    """Submit so many jobs with keys and labels, a few at a time."""
    options = options_of(work)
    assert options is not None
    stages = []
    with tempfile.TemporaryDirectory() as folder:
        config = EmbeddedConfig(
            folder=Path(folder), retention=RETENTION, housekeeping_every=0.5, max_pending=10_000_000
        )
        async with EmbeddedEngine(TaskRegistry([task_from(work, options)]), config) as engine:
            for part in range(PARTS):
                began = time.perf_counter()
                numbers = iter(range(part * jobs // PARTS, (part + 1) * jobs // PARTS))
                async with asyncio.TaskGroup() as group:
                    for _ in range(SUBMITTERS):
                        group.create_task(submit(engine, numbers))
                rate = jobs / PARTS / (time.perf_counter() - began)
                kept = sum((await engine.figures()).jobs.values())
                stages.append(stage(Path(folder), kept, rate))
    return stages


async def submit(engine: EmbeddedEngine, numbers: Iterator[int]) -> None:
    """Submit one job after another, each waited for."""
    for index in numbers:
        new = NewJob(
            task="work",
            params=b'{"number":%d}' % index,
            labels={"shard": str(index % 50)},
            idempotency_key=f"soak-{index}",
            fingerprint=b"f",
        )
        job = (await engine.submit(new)).job
        job = await engine.wait(job.id, timeout=60)
        assert job.status is (Status.COMPLETED if index % 100 else Status.FAILED), job


def stage(folder: Path, kept: int, rate: float) -> Stage:
    """How things stand now."""
    file = (folder / "journal.sqlite3").stat().st_size / 1e6
    log = (folder / "journal.sqlite3-wal").stat().st_size / 1e6
    return Stage(kept, resident_bytes(os.getpid()) / 1e6, file, log, rate)
