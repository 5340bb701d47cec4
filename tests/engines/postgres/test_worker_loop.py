"""What jobs do to a worker's event loop."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from app.engines.postgres import PostgresEngine
from app.engines.postgres.config import PostgresConfig
from app.jobs.loading import load_modules
from app.jobs.models import NewJob
from app.jobs.registry import TaskRegistry
from app.scheduler import Status
from tests.engines.harness import LONG, accepted, ended

ROOT: Final = Path(__file__).parents[3]

TASKS: Final = """
import asyncio
import sys

from app.jobs import task


async def leave() -> None:
    sys.exit(3)


@task
async def exits() -> str:
    leaving = asyncio.create_task(leave())
    await asyncio.wait([leaving])
    return type(leaving.exception()).__name__
"""


@pytest.fixture
def worker(url: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of the task above; killed if it still lives at the end."""
    (tmp_path / "tasks_of_test.py").write_text(TASKS)
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "AWAITD_DATABASE_URL": url,
        "AWAITD_TASKS": str(tmp_path / "tasks_of_test.py"),
    }
    command = [sys.executable, "-m", "app", "worker"]
    with subprocess.Popen(command, env=env, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        yield process
        process.kill()


async def test_an_exit_in_a_subtask_does_not_end_the_worker(
    worker: subprocess.Popen[bytes], url: str, tmp_path: Path
) -> None:
    """The job goes on, and so does the worker, which runs the next one."""
    modules = load_modules((str(tmp_path / "tasks_of_test.py"),))
    config = PostgresConfig(url=url, works=False, watch_loop=False)
    async with PostgresEngine(TaskRegistry.from_modules(modules), config) as engine:
        for _ in range(2):
            job = await ended(engine, await accepted(engine, NewJob(task="exits")))
            assert (job.status, job.result) == (Status.COMPLETED, b'"SystemExit"')
    worker.terminate()
    _, log = worker.communicate(timeout=LONG)
    assert worker.returncode == 0
    assert log.count(b"a job stopped the event loop, which goes on") == 2
