"""What jobs do to a worker's event loop."""

from pathlib import Path
from typing import Final

from app.engines.postgres import PostgresEngine
from app.engines.postgres.config import PostgresConfig
from app.jobs.loading import load_modules
from app.jobs.models import NewJob
from app.jobs.registry import TaskRegistry
from app.scheduler import Status
from tests.engines.harness import accepted, ended
from tests.support.cluster import working

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


async def test_an_exit_in_a_subtask_does_not_end_the_worker(url: str, tmp_path: Path) -> None:
    """The job goes on, and so does the worker, which runs the next one."""
    module = tmp_path / "tasks_of_test.py"
    module.write_text(TASKS)
    modules = load_modules((str(module),))
    config = PostgresConfig(url=url, works=False, watch_loop=False)
    with working(tmp_path, AWAITD_DATABASE_URL=url, AWAITD_TASKS=str(module)):
        async with PostgresEngine(TaskRegistry.from_modules(modules), config) as engine:
            for _ in range(2):
                job = await ended(engine, await accepted(engine, NewJob(task="exits")))
                assert (job.status, job.result) == (Status.COMPLETED, b'"SystemExit"')
    log = (tmp_path / "worker.log").read_text()
    assert log.count("a job stopped the event loop, which goes on") == 2
