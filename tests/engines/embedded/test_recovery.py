"""What is found again after a crash: in copies of the files, and after real kills."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from shutil import copytree
from uuid import UUID

import apsw
import pytest

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.journal import FILE
from app.engines.embedded.migrations import migrate
from app.jobs.ids import halves
from app.jobs.models import ErrorType, JobQuery
from app.scheduler import Status
from tests.engines.clock import EPOCH, skip
from tests.engines.embedded.faults import Faults
from tests.engines.harness import accepted, ended, idle
from tests.engines.puppets import Puppets, job_of

Open = Callable[..., EmbeddedEngine]


@pytest.fixture
def crash(store: Path, tmp_path: Path) -> Callable[[], Path]:
    """Copies the store as a crash would leave it at this moment."""

    def copy() -> Path:
        return Path(copytree(store, tmp_path / "crashed"))

    return copy


async def test_running_without_retries(
    open_embedded: Open, puppets: Puppets, crash: Callable[[], Path]
) -> None:
    """A job that ran when the process died, of a task without retries, has failed: interrupted."""
    async with open_embedded() as engine:
        job = await accepted(engine, job_of("hold", "a"))
        await puppets.begun("a")
        folder = crash()
    async with open_embedded(folder) as engine:
        job = await engine.get(job.id)
        assert (job.status, job.attempt) == (Status.FAILED, 1)
        assert job.error is not None
        assert job.error.type is ErrorType.INTERRUPTED
        await idle(engine)
    assert puppets.started == ["a"]


async def test_running_with_retries(
    open_embedded: Open, puppets: Puppets, crash: Callable[[], Path]
) -> None:
    """A job that ran when the process died and has attempts left runs again."""
    async with open_embedded() as engine:
        job = await accepted(engine, job_of("persistent", "a"))
        await puppets.begun("a")
        folder = crash()
    puppets.end("a", "again", attempt=2)
    async with open_embedded(folder) as engine:
        job = await ended(engine, job)
    assert (job.status, job.attempt, job.result) == (Status.COMPLETED, 2, b'"again"')
    assert [attempt.outcome for attempt in job.attempts] == [Status.FAILED, Status.COMPLETED]


async def test_last_attempt(
    open_embedded: Open, puppets: Puppets, crash: Callable[[], Path]
) -> None:
    """A crash uses up an attempt: a job whose last one it was has failed."""
    async with open_embedded() as engine:
        job = await accepted(engine, job_of("persistent", "a"))
        for attempt in (1, 2):
            puppets.fail("a", ValueError(), attempt=attempt)
        await puppets.begun("a", attempt=3)
        folder = crash()
    async with open_embedded(folder) as engine:
        job = await engine.get(job.id)
    assert (job.status, job.attempt, len(job.attempts)) == (Status.FAILED, 3, 3)


async def test_cancel_on_record(
    open_embedded: Open, puppets: Puppets, crash: Callable[[], Path]
) -> None:
    """An accepted cancel survives: the job is cancelled, though it has attempts left."""
    async with open_embedded() as engine:
        job = await accepted(engine, job_of("deaf", "a"))
        await puppets.begun("a")
        asked = await engine.cancel(job.id)
        folder = crash()
        puppets.end("a")
        await ended(engine, job)
    async with open_embedded(folder) as engine:
        job = await engine.get(job.id)
        assert (job.status, job.attempt, job.error) == (Status.CANCELLED, 1, None)
        assert job.cancel_requested_at == asked.cancel_requested_at
        await idle(engine)


async def test_order(open_embedded: Open, puppets: Puppets, crash: Callable[[], Path]) -> None:
    """Pending jobs are queued again in the order they had, by priority and then by age."""
    async with open_embedded(max_running=1) as engine:
        await accepted(engine, job_of("hold", "first"))
        for number in range(20):
            await accepted(engine, job_of("hold", str(number), priority=number % 2))
            puppets.end(str(number))
        folder = crash()
    puppets.started.clear()
    async with open_embedded(folder, max_running=1) as engine:
        await idle(engine)
    names = [str(number) for number in range(20)]
    assert puppets.started == names[1::2] + names[0::2]


async def test_backoff(open_embedded: Open, puppets: Puppets, crash: Callable[[], Path]) -> None:
    """A job that waits for its next attempt keeps its due time, and its attempts so far."""
    async with open_embedded() as engine:
        job = await accepted(engine, job_of("patient", "a", start_within=5))
        version = (await engine.get(job.id)).version
        puppets.fail("a", ValueError("not yet"))
        job = await engine.wait(job.id, timeout=5, since=version)
        folder = crash()
    puppets.end("a", attempt=2)
    async with open_embedded(folder) as engine:
        assert await engine.get(job.id) == job
        skip(61)
        again = await ended(engine, job)
    assert (again.status, again.run_at) == (Status.COMPLETED, job.run_at)


async def test_lines_cannot_be_read(faults: Faults, open_embedded: Open, puppets: Puppets) -> None:
    """A second attempt begins though the lines of the first one cannot be read just then."""
    async with open_embedded() as engine:
        job = await accepted(engine, job_of("talk_again", "a"))
        await puppets.begun("a")
    async with open_embedded() as engine:
        faults.reading = apsw.IOError("disk I/O error")
        await puppets.begun("a", attempt=2)
        faults.mend()
        puppets.end("a", attempt=2)
        assert (await ended(engine, job)).status is Status.COMPLETED


async def test_crash_during_recovery(
    open_embedded: Open, puppets: Puppets, crash: Callable[[], Path], tmp_path: Path
) -> None:
    """Recovering twice is as good as once: each crash of a run uses up one attempt, no more."""
    async with open_embedded() as engine:
        job = await accepted(engine, job_of("patient", "a"))
        await puppets.begun("a")
        folder = crash()
    async with open_embedded(folder) as engine:
        once = await engine.get(job.id)
        copytree(folder, tmp_path / "again")
    async with open_embedded(tmp_path / "again") as engine:
        assert await engine.get(job.id) == once
    assert (once.status, once.attempt) == (Status.PENDING, 1)


async def test_everything_else(
    open_embedded: Open, puppets: Puppets, crash: Callable[[], Path]
) -> None:
    """Keys, labels, finished jobs and the numbers of changes survive a crash."""
    new = job_of("hold", "a", idempotency_key="k", fingerprint=b"f", labels={"a": "b"})
    async with open_embedded() as engine:
        job = await accepted(engine, new)
        puppets.end("a", 1)
        job = await ended(engine, job)
        folder = crash()
    async with open_embedded(folder) as engine:
        assert (await engine.submit(new)).job == job
        assert (await accepted(engine, job_of("echo"))).version > job.version


def fill(folder: Path, unfinished: int, finished: int) -> None:
    """Write a journal as a busy server leaves it: half of the unfinished jobs were running."""
    folder.mkdir()
    with closing(apsw.Connection(str(folder / FILE))) as db:
        db.pragma("journal_mode", "wal")
        migrate(db)
        columns = (
            "high, low, version, status, task, priority, attempt, max_attempts, run_at, "
            "started_at, finished_at, params"
        )
        marks = ", ".join("?" * len(columns.split(", ")))
        with db:
            for number in range(unfinished + finished):
                done = number < finished
                status = 2 if done else number % 2
                high, low = halves(UUID(int=(EPOCH + number << 16 | 0x7000) << 64 | 1 << 63))
                at = EPOCH + number
                started, ended = (at if status else None), (at if done else None)
                row = (high, low, number + 1, status, "persistent", 0, int(status > 0), 3, at)
                params = b'{"name":"%d"}' % number
                db.execute(
                    f"INSERT INTO jobs ({columns}) VALUES ({marks})", (*row, started, ended, params)
                )


async def test_many_unfinished(open_embedded: Open, store: Path) -> None:
    """Ten thousand unfinished jobs are queued again once it is open, the crashed ones too."""
    fill(store, unfinished=10_000, finished=10_000)
    async with open_embedded(max_running=1, now=lambda: EPOCH) as engine:
        health = engine.health()
        assert (health.running, health.pending) == (1, 9_999)
        [newest] = (await engine.list(JobQuery(limit=1))).items
        assert (await engine.get(newest.id)).attempts[0].outcome is Status.FAILED


SERVE = """
import asyncio, sys
from pathlib import Path
from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.config import EmbeddedConfig
from tests.engines.puppets import Puppets, job_of

async def main():
    config = EmbeddedConfig(folder=Path(sys.argv[1]), max_running=4)
    async with EmbeddedEngine(Puppets().registry(), config) as engine:
        async def submit(number):
            task = ("hold", "persistent", "echo")[number % 3]
            new = job_of(task, f"{number}") if number % 3 < 2 else job_of(task)
            print((await engine.submit(new)).job.id, task, flush=True)
        number = 0
        while True:
            await asyncio.gather(*(submit(number + n) for n in range(10)))
            number += 10

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 60])
async def test_kill(open_embedded: Open, store: Path, lines: int) -> None:
    """After SIGKILL at any moment, every job whose submission was answered is there."""
    answered = answered_before_kill(store, lines)
    assert len(answered) >= lines
    async with open_embedded(store, max_running=1, max_pending=100_000) as engine:
        for job_id, task in answered:
            job = await engine.get(job_id)
            assert job.task == task
            assert job.attempt <= 1 or task == "persistent"
            if task == "hold" and job.attempt == 1:
                assert job.status in (Status.FAILED, Status.RUNNING)
        await asyncio.sleep(0)


def answered_before_kill(folder: Path, lines: int) -> list[tuple[UUID, str]]:
    """Kill a process that submits, once it has said so many times that a job was accepted."""
    command = [sys.executable, "-c", SERVE, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        answers = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        answers += process.stdout.readlines()
    complete = [line.split() for line in answers if line.endswith("\n")]
    return [(UUID(job_id), task) for job_id, task in complete]
