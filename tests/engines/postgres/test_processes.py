"""Worker processes that die, freeze and thaw, with a database that all of them share."""

import asyncio
import re
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final

import psycopg
import pytest

from app.engines.postgres import PostgresEngine
from app.engines.postgres.config import PostgresConfig
from app.jobs.errors import WorkerSilent
from app.jobs.loading import load_modules
from app.jobs.models import ErrorType, Job, JobQuery, NewJob
from app.jobs.registry import TaskRegistry
from app.jobs.texts import to_json
from app.scheduler import Status
from tests.engines.harness import LONG, accepted, ended
from tests.support.postgres import conninfo
from tests.support.server import environment
from tests.support.warm import WarmProcess

STALL_AFTER: Final = 2.0

TASKS: Final = """
import asyncio
import time
from pathlib import Path

from app.jobs import JobContext, task


@task(retries=3, backoff=0)
async def again(folder: str, *, job: JobContext) -> int:
    return await _run(folder, job)


@task
async def once(folder: str, *, job: JobContext) -> int:
    return await _run(folder, job)


@task(retries=3)
async def block(folder: str, *, job: JobContext) -> int:
    (Path(folder) / f"{job.id}.{job.attempt}").touch()
    while not (Path(folder) / "end").exists():
        time.sleep(0.02)
    return job.attempt


async def _run(folder: str, job: JobContext) -> int:
    (Path(folder) / f"{job.id}.{job.attempt}").touch()
    try:
        while not (Path(folder) / "end").exists():
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        (Path(folder) / f"{job.id}.{job.attempt}.stopped").touch()
        raise
    return job.attempt
"""


class Workers:
    """Starts worker processes; whatever still lives at the end is killed."""

    def __init__(self, url: str, folder: Path, stack: ExitStack) -> None:
        self._env = environment(
            AWAITD_DATABASE_URL=url,
            AWAITD_STALL_AFTER=str(STALL_AFTER),
            AWAITD_TASKS=str(folder / "tasks_of_test.py"),
        )
        self._folder = folder
        self.log = folder / "workers.log"
        self._stack = stack

    def start(self) -> WarmProcess:
        """One more worker."""
        with self.log.open("a") as log:
            out, folder = log.fileno(), self._folder
            process = WarmProcess(["worker"], folder=folder, env=self._env, stdout=out, stderr=out)
        self._stack.callback(process.wait, 10)
        self._stack.callback(process.kill)
        return process


@pytest.fixture
def workers(url: str, tmp_path: Path) -> Iterator[Workers]:
    """Workers of the tasks above."""
    (tmp_path / "tasks_of_test.py").write_text(TASKS)
    with ExitStack() as stack:
        yield Workers(url, tmp_path, stack)


@pytest.fixture
async def api(url: str, workers: Workers, tmp_path: Path) -> AsyncIterator[PostgresEngine]:
    """A node that runs nothing."""
    registry = TaskRegistry.from_modules(load_modules((str(tmp_path / "tasks_of_test.py"),)))
    config = PostgresConfig(url=url, works=False, stall_after=STALL_AFTER, watch_loop=False)
    async with PostgresEngine(registry, config) as engine:
        yield engine


def job_for(task: str, folder: Path) -> NewJob:
    """A job that runs until there is a file called `end` in the folder."""
    return NewJob(task=task, params=to_json({"folder": str(folder)}))


async def there(path: Path) -> None:
    """Wait until a coroutine has made this file."""
    async with asyncio.timeout(LONG):
        while not path.exists():  # noqa: ASYNC110, ASYNC240  another process makes it
            await asyncio.sleep(0.01)


async def test_killed(
    api: PostgresEngine, workers: Workers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The jobs of a killed worker lose their attempt, and those with another one run elsewhere."""
    first = workers.start()
    again, once = [await accepted(api, job_for(task, tmp_path)) for task in ("again", "once")]
    for job in (again, once):
        await there(tmp_path / f"{job.id}.1")
    workers.start()
    first.kill()
    await there(tmp_path / f"{again.id}.2")
    (tmp_path / "end").touch()
    again, once = await ended(api, again), await ended(api, once)
    assert (again.status, again.attempt, again.result) == (Status.COMPLETED, 2, b"2")
    assert (once.status, once.attempt) == (Status.FAILED, 1)
    assert type_of_error(once) is ErrorType.INTERRUPTED
    name = f"{socket.gethostname()}:{first.pid}"
    told = caplog.text + workers.log.read_text()
    while f"worker {name} was silent" not in told:
        await asyncio.sleep(0.01)
        told = caplog.text + workers.log.read_text()
    lost = re.findall(r"(\d+) jobs lost an attempt", told)
    assert sum(map(int, lost)) == 2


async def test_frozen_and_thawed(api: PostgresEngine, workers: Workers, tmp_path: Path) -> None:
    """A worker that was frozen too long finds its jobs gone: its coroutines are stopped."""
    first = workers.start()
    job = await accepted(api, job_for("again", tmp_path))
    await there(tmp_path / f"{job.id}.1")
    first.send_signal(signal.SIGSTOP)
    workers.start()
    await there(tmp_path / f"{job.id}.2")
    first.send_signal(signal.SIGCONT)
    await there(tmp_path / f"{job.id}.1.stopped")
    assert (await api.get(job.id)).attempt == 2
    (tmp_path / "end").touch()
    job = await ended(api, job)
    assert (job.status, job.attempt, job.result) == (Status.COMPLETED, 2, b"2")


async def test_blocked(url: str, api: PostgresEngine, workers: Workers, tmp_path: Path) -> None:
    """A worker whose event loop is blocked is not dead; it says what blocks it, others do not."""
    workers.start()
    job = await accepted(api, job_for("block", tmp_path))
    await there(tmp_path / f"{job.id}.1")
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        [[begun]] = db.execute("SELECT now()").fetchall()
        with pytest.raises(WorkerSilent):
            await api.inspect(job.id)
        assert (await api.inspect(job.id, frames=False)).job.status is Status.RUNNING
        beats = "SELECT last_heartbeat FROM procrastinate_workers"
        until = begun + timedelta(seconds=STALL_AFTER)
        while db.execute(beats).fetchall() <= [(until,)]:  # noqa: ASYNC110  another process beats
            await asyncio.sleep(0.01)
    (tmp_path / "end").touch()
    job = await ended(api, job)
    assert (job.status, job.attempt) == (Status.COMPLETED, 1)
    assert f"by job block {job.id}" in workers.log.read_text()


async def test_stopped(api: PostgresEngine, workers: Workers, tmp_path: Path) -> None:
    """A worker that is told to stop lets its jobs end, and takes no more."""
    first = workers.start()
    job = await accepted(api, job_for("once", tmp_path))
    await there(tmp_path / f"{job.id}.1")
    first.terminate()
    (tmp_path / "end").touch()
    assert (await ended(api, job)).status is Status.COMPLETED
    assert first.wait(LONG) == 0
    assert not (await api.list(JobQuery(statuses=(Status.RUNNING,)))).items


def type_of_error(job: Job) -> ErrorType | None:
    """Why a job failed."""
    return None if job.error is None else job.error.type
