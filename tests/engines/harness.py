"""How the tests open each engine. A further engine is one more name and one more opener."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import UUID

import pytest

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.config import EmbeddedConfig
from app.jobs.engine import Engine
from app.jobs.errors import JobExpired
from app.jobs.models import Job, NewJob
from app.jobs.registry import TaskRegistry

LONG: Final = 20.0
"""Seconds that a test waits for what comes in milliseconds."""

Opener: TypeAlias = Callable[..., Engine]


def embedded(folder: Path, registry: TaskRegistry, **options: Any) -> Engine:
    """The embedded engine on a folder, with short graces and quick housekeeping."""
    defaults = {"shutdown_grace": 0.0, "cancel_grace": 0.5, "housekeeping_every": 0.01}
    config = EmbeddedConfig(folder=folder, **{**defaults, **options})
    return EmbeddedEngine(registry, config)


def postgres(folder: Path, registry: TaskRegistry, **options: Any) -> Engine:
    """The distributed engine with its worker, on a database that stands for the folder."""
    pytest.importorskip("psycopg", reason="needs the libraries of PostgreSQL")
    from app.engines.postgres.config import PostgresConfig
    from app.engines.postgres.engine import PostgresEngine
    from tests.support.postgres import database_of

    defaults = {"shutdown_grace": 0.0, "cancel_grace": 0.5, "housekeeping_every": 0.05}
    defaults["keep_at_least"] = 0.2  # so long may this engine take to hear of its own jobs
    config = PostgresConfig(url=database_of(folder), **{**defaults, **options})
    return PostgresEngine(registry, config)


ENGINES: Final[Mapping[str, Opener]] = {"embedded": embedded, "postgres": postgres}


async def accepted(engine: Engine, new: NewJob) -> Job:
    """The job of a submission that is new."""
    submitted = await engine.submit(new)
    assert not submitted.replayed
    return submitted.job


async def ended(engine: Engine, job: Job | UUID) -> Job:
    """The job once it has ended."""
    job = await engine.wait(job if isinstance(job, UUID) else job.id, timeout=LONG)
    assert job.done, f"it is still {job.status}"
    return job


async def idle(engine: Engine) -> None:
    """Return when no job is pending and no slot is taken, which is a moment after their ends."""
    async with asyncio.timeout(LONG):
        while engine.health().running or engine.health().pending:  # noqa: ASYNC110  no event says
            await asyncio.sleep(0.001)


async def removed(engine: Engine, job: Job) -> None:
    """Return when the job has been removed after its retention."""
    async with asyncio.timeout(LONG):
        with contextlib.suppress(JobExpired):
            while True:
                await engine.get(job.id)
                await asyncio.sleep(0.001)
