"""Cancelling: this job must not keep running. What stands here is promised by every engine."""

import asyncio
from collections.abc import Callable

import pytest

from app.jobs.engine import Engine
from app.jobs.errors import JobNotFound, VersionMismatch
from app.jobs.ids import JobIds
from app.jobs.models import ErrorType, Job, JobError
from app.scheduler import Status
from tests.engines.harness import accepted, ended
from tests.engines.puppets import Puppets, job_of


async def running(engine: Engine, puppets: Puppets, task: str) -> Job:
    """A job called "a" of which the coroutine has begun."""
    job = await accepted(engine, job_of(task, "a"))
    await puppets.begun("a")
    return await engine.get(job.id)


async def test_pending(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A pending job is cancelled at once and never starts."""
    async with open_engine(max_running=1) as engine:
        await accepted(engine, job_of("hold", "a"))
        pending = await accepted(engine, job_of("hold", "b"))
        job = await engine.cancel(pending.id)
        assert (job.status, job.attempt, job.result, job.error) == (Status.CANCELLED, 0, None, None)
        assert job.cancel_requested_at == job.finished_at
        after = await accepted(engine, job_of("hold", "c"))
        puppets.end("a")
        puppets.end("c")
        await ended(engine, after)
        assert puppets.started == ["a", "c"]
        assert await engine.get(job.id) == job


async def test_delayed(engine: Engine) -> None:
    """A job that is not due yet is cancelled as any pending one."""
    job = await accepted(engine, job_of("echo", delay=3600))
    assert (await engine.cancel(job.id)).status is Status.CANCELLED
    assert engine.health().pending == 0


async def test_running(engine: Engine, puppets: Puppets) -> None:
    """A running job gets one `CancelledError`, and is cancelled when it has really ended."""
    job = await running(engine, puppets, "hold")
    asked = await engine.cancel(job.id)
    assert asked.status in (Status.RUNNING, Status.CANCELLED)
    assert asked.version > job.version
    assert asked.cancel_requested_at is not None
    job = await ended(engine, job)
    assert (job.status, job.result, job.error) == (Status.CANCELLED, None, None)
    assert job.cancel_requested_at == asked.cancel_requested_at
    assert [attempt.outcome for attempt in job.attempts] == [Status.CANCELLED]
    assert puppets.cancels["a"] == 1


async def test_value_after_cancel(engine: Engine, puppets: Puppets) -> None:
    """What a coroutine returns after its cancel is the result of the cancelled job."""
    job = await running(engine, puppets, "tidy")
    await engine.cancel(job.id)
    job = await ended(engine, job)
    assert (job.status, job.result) == (Status.CANCELLED, b'"tidied"')


async def test_null_after_cancel(engine: Engine, puppets: Puppets) -> None:
    """Null after a cancel is no result."""
    job = await accepted(engine, job_of("tidy", params={"name": "a", "value": None}))
    await puppets.begun("a")
    await engine.cancel(job.id)
    assert (await ended(engine, job)).result is None


async def test_exception_after_cancel(engine: Engine, puppets: Puppets) -> None:
    """What the clean-up raises is the error of the cancelled job."""
    job = await running(engine, puppets, "messy")
    await engine.cancel(job.id)
    job = await ended(engine, job)
    assert (job.status, job.result) == (Status.CANCELLED, None)
    assert job.error == JobError(ErrorType.EXCEPTION, "the clean-up broke", "ValueError")


async def test_ignored(engine: Engine, puppets: Puppets) -> None:
    """A job that ignores its cancel is running until it ends, then cancelled, and never retried."""
    job = await running(engine, puppets, "deaf")
    asked = await engine.cancel(job.id)
    assert await engine.wait(job.id, timeout=0.02) == asked
    assert asked.status is Status.RUNNING
    puppets.fail("a", ValueError("at last"))
    job = await ended(engine, job)
    assert (job.status, job.attempt) == (Status.CANCELLED, 1)


async def test_again(engine: Engine, puppets: Puppets) -> None:
    """A second cancel changes nothing, and does not break into the clean-up."""
    job = await running(engine, puppets, "deaf")
    asked = await engine.cancel(job.id)
    assert await engine.cancel(job.id) == asked
    puppets.end("a")
    done = await ended(engine, job)
    assert await engine.cancel(job.id) == done
    assert puppets.cancels["a"] == 1


async def test_parallel(engine: Engine, puppets: Puppets) -> None:
    """Many cancels at the same time agree, and the coroutine gets one."""
    job = await running(engine, puppets, "tidy")
    answers = await asyncio.gather(*(engine.cancel(job.id) for _ in range(50)))
    assert len({answer.cancel_requested_at for answer in answers}) == 1
    assert (await ended(engine, job)).status is Status.CANCELLED
    assert puppets.cancels["a"] == 1


async def test_finished(engine: Engine) -> None:
    """A finished job is returned unchanged."""
    job = await ended(engine, await accepted(engine, job_of("echo")))
    assert await engine.cancel(job.id) == job
    assert await engine.cancel(job.id, if_version=job.version) == job


async def test_unknown_id(engine: Engine) -> None:
    """A job that never was cannot be cancelled."""
    with pytest.raises(JobNotFound):
        await engine.cancel(JobIds(lambda: 4_000_000_000_000).next())


async def test_if_version(engine: Engine, puppets: Puppets) -> None:
    """With a version, only a job that is still at it is cancelled."""
    job = await running(engine, puppets, "hold")
    with pytest.raises(VersionMismatch):
        await engine.cancel(job.id, if_version=job.version - 1)
    assert (await engine.get(job.id)).cancel_requested_at is None
    await engine.cancel(job.id, if_version=job.version)
    job = await ended(engine, job)
    assert job.status is Status.CANCELLED
    with pytest.raises(VersionMismatch):
        await engine.cancel(job.id, if_version=job.version - 1)


async def test_racing_the_end(engine: Engine, puppets: Puppets) -> None:
    """What was committed first wins: a job is completed or cancelled, as the answer says."""
    for number in range(30):
        job = await accepted(engine, job_of("hold", str(number)))
        await puppets.begun(str(number))
        puppets.end(str(number), "done")
        for _ in range(number % 5):
            await asyncio.sleep(0)
        asked = await engine.cancel(job.id)
        job = await ended(engine, job)
        expected = Status.COMPLETED if asked.cancel_requested_at is None else Status.CANCELLED
        assert job.status is expected


async def test_never_retried(engine: Engine, puppets: Puppets) -> None:
    """A cancelled job has no further attempt, though its task has retries."""
    job = await running(engine, puppets, "persistent")
    await engine.cancel(job.id)
    assert (await ended(engine, job)).attempt == 1
    assert puppets.started == ["a"]


async def test_between_attempts(engine: Engine, puppets: Puppets) -> None:
    """A job that waits for its next attempt is cancelled as any pending one."""
    job = await running(engine, puppets, "patient")
    puppets.fail("a", ValueError("not yet"))
    await engine.wait(job.id, timeout=5, since=job.version)
    job = await engine.cancel(job.id)
    assert (job.status, job.attempt) == (Status.CANCELLED, 1)
    assert [attempt.outcome for attempt in job.attempts] == [Status.FAILED]


async def test_after_timeout(engine: Engine, puppets: Puppets) -> None:
    """A cancel of an attempt that its timeout has interrupted already ends the job as cancelled."""
    job = await accepted(engine, job_of("deaf", "a", timeout=0.01))
    await puppets.begun("a")
    await puppets.cancelled("a")
    await engine.cancel(job.id)
    puppets.end("a", "late")
    job = await ended(engine, job)
    assert (job.status, job.result, job.attempt) == (Status.CANCELLED, b'"late"', 1)
    assert puppets.cancels["a"] == 1
