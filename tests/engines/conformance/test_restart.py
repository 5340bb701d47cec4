"""What a stop and a start leave. What stands here is promised by every engine."""

import asyncio
from collections.abc import Callable

import pytest

from app.jobs.engine import Engine
from app.jobs.errors import JobExpired, JobNotFound
from app.jobs.ids import JobIds
from app.jobs.models import ErrorType, Job
from app.scheduler import Status
from tests.engines.harness import accepted, ended, removed
from tests.engines.puppets import Puppets, job_of


async def test_pending_jobs_wait(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """Pending jobs wait for the next start, and run then in the order they had."""
    async with open_engine(max_running=1, shutdown_grace=5) as engine:
        first = await accepted(engine, job_of("hold", "first"))
        await puppets.begun("first")
        names = {name: await accepted(engine, job_of("hold", name)) for name in "abc"}
        high = await accepted(engine, job_of("hold", "high", priority=1))
        puppets.end("first")
        engine.drain()
    for name in (*names, "high"):
        puppets.end(name, name)
    async with open_engine(max_running=1) as engine:
        assert (await engine.get(first.id)).status is Status.COMPLETED
        results = [(await ended(engine, job)).result for job in (high, *names.values())]
    assert results == [b'"high"', b'"a"', b'"b"', b'"c"']
    assert puppets.started == ["first", "high", "a", "b", "c"]


async def test_delayed_jobs_wait(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A delayed job keeps its due time."""
    async with open_engine() as engine:
        soon = await accepted(engine, job_of("echo", delay=0.05))
        later = await accepted(engine, job_of("echo", delay=3600))
    async with open_engine() as engine:
        job = await ended(engine, soon)
        assert job.run_at == soon.run_at
        assert await engine.get(later.id) == later


async def test_running_jobs_may_finish(
    open_engine: Callable[..., Engine], puppets: Puppets
) -> None:
    """A stop waits for running jobs during the grace period."""
    async with open_engine(shutdown_grace=5) as engine:
        job = await accepted(engine, job_of("hold", "a"))
        await puppets.begun("a")
        asyncio.get_running_loop().call_later(0.01, puppets.end, "a", "in time")
    async with open_engine() as engine:
        job = await engine.get(job.id)
    assert (job.status, job.result) == (Status.COMPLETED, b'"in time"')


async def test_interrupted_without_retries(
    open_engine: Callable[..., Engine], puppets: Puppets
) -> None:
    """A running job of a task without retries is interrupted once, and fails."""
    async with open_engine() as engine:
        job = await accepted(engine, job_of("hold", "a"))
        await puppets.begun("a")
    async with open_engine() as engine:
        job = await engine.get(job.id)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.type is ErrorType.INTERRUPTED
    assert (puppets.cancels["a"], puppets.started) == (1, ["a"])


async def test_interrupted_with_retries(
    open_engine: Callable[..., Engine], puppets: Puppets
) -> None:
    """A running job with attempts left is pending again, and runs after the next start."""
    async with open_engine() as engine:
        job = await accepted(engine, job_of("persistent", "a"))
        await puppets.begun("a")
    puppets.end("a", "again", attempt=2)
    async with open_engine() as engine:
        job = await ended(engine, job)
    assert (job.status, job.attempt, job.result) == (Status.COMPLETED, 2, b'"again"')
    assert job.attempts[0].error is not None
    assert job.attempts[0].error.type is ErrorType.INTERRUPTED


async def test_cancel_before_the_stop(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A job that is being cancelled at a stop ends cancelled, though its task has retries."""
    async with open_engine() as engine:
        job = await accepted(engine, job_of("persistent", "a"))
        await puppets.begun("a")
        await engine.cancel(job.id)
    async with open_engine() as engine:
        job = await engine.get(job.id)
    assert (job.status, job.attempt) == (Status.CANCELLED, 1)


async def test_outlasts_the_stop(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A job that outlasts every grace has lost its attempt: what it does then changes nothing."""
    async with open_engine(cancel_grace=0.01) as engine:
        job = await accepted(engine, job_of("deaf", "a"))
        await puppets.begun("a")
    puppets.end("a", "too late")
    async with open_engine() as engine:
        await puppets.begun("a", attempt=2)
        assert (await engine.get(job.id)).result is None
        puppets.end("a", "second", attempt=2)
        job = await ended(engine, job)
    assert (job.attempt, job.result) == (2, b'"second"')
    assert job.attempts[0].error is not None
    assert job.attempts[0].error.type is ErrorType.INTERRUPTED


async def test_cancelled_outlasts_the_stop(
    open_engine: Callable[..., Engine], puppets: Puppets
) -> None:
    """A job that was to be cancelled and outlasts every grace is cancelled at the next start."""
    async with open_engine(cancel_grace=0.01) as engine:
        job = await accepted(engine, job_of("deaf", "a"))
        await puppets.begun("a")
        await engine.cancel(job.id)
    puppets.end("a", "too late")
    async with open_engine() as engine:
        job = await ended(engine, job)
    assert (job.status, job.attempt, job.result) == (Status.CANCELLED, 1, None)


async def test_keys_survive(open_engine: Callable[..., Engine]) -> None:
    """A key finds its job after a restart."""
    new = job_of("echo", idempotency_key="k", fingerprint=b"f")
    async with open_engine() as engine:
        job = await accepted(engine, new)
    async with open_engine() as engine:
        again = await engine.submit(new)
    assert (again.replayed, again.job.id) == (True, job.id)


async def test_everything_survives(open_engine: Callable[..., Engine]) -> None:
    """A finished job is after a restart what it was before."""
    async with open_engine() as engine:
        new = job_of("number", params={"value": 1}, labels={"a": "b"}, priority=3, owner="ann")
        good = await ended(engine, await accepted(engine, new))
        bad = await ended(engine, await accepted(engine, job_of("number", params={"value": "1"})))
    async with open_engine() as engine:
        assert [await engine.get(job.id) for job in (good, bad)] == [good, bad]


async def test_ids_and_versions_grow_on(open_engine: Callable[..., Engine]) -> None:
    """After a restart ids and versions go on above all that were there."""
    async with open_engine() as engine:
        before = await ended(engine, await accepted(engine, job_of("echo")))
    async with open_engine() as engine:
        after = await accepted(engine, job_of("echo"))
    assert after.id > before.id
    assert after.version > before.version


async def unknown(open_engine: Callable[..., Engine], puppets: Puppets) -> Job:
    """A pending job of a task that the next start may not know."""
    async with open_engine(max_running=1) as engine:
        await accepted(engine, job_of("hold", "first"))
        await puppets.begun("first")
        return await accepted(engine, job_of("persistent", "a"))


async def test_task_is_gone(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A pending job of a task that is gone stays pending and is counted, until it is back."""
    job = await unknown(open_engine, puppets)
    for _ in range(2):
        async with open_engine(without=("persistent",)) as engine:
            assert await engine.get(job.id) == job
            assert engine.health().unknown_tasks == {"persistent": 1}
            assert (engine.health().pending, engine.health().ready) == (1, True)
    puppets.end("a")
    async with open_engine() as engine:
        assert not engine.health().unknown_tasks
        assert (await ended(engine, job)).status is Status.COMPLETED


async def test_task_stays_away(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A job whose task has been gone for too long fails with `unknown-task`."""
    job = await unknown(open_engine, puppets)
    async with open_engine(without=("persistent",), unknown_task_after=0) as engine:
        job = await ended(engine, job)
        assert (job.status, job.attempt) == (Status.FAILED, 0)
        assert job.error is not None
        assert job.error.type is ErrorType.UNKNOWN_TASK
        assert not engine.health().unknown_tasks


async def test_cancel_of_an_unknown_task(
    open_engine: Callable[..., Engine], puppets: Puppets
) -> None:
    """A job whose task is gone can be cancelled."""
    job = await unknown(open_engine, puppets)
    async with open_engine(without=("persistent",)) as engine:
        assert (await engine.cancel(job.id)).status is Status.CANCELLED
        assert not engine.health().unknown_tasks


async def test_retention(open_engine: Callable[..., Engine]) -> None:
    """A finished job is removed after its retention: its id has expired then, its key is free."""
    new = job_of("echo", idempotency_key="k", fingerprint=b"f", labels={"a": "b"})
    async with open_engine(retention=0.02) as engine:
        job = await ended(engine, await accepted(engine, new))
        await removed(engine, job)
        with pytest.raises(JobExpired):
            await engine.cancel(job.id)
        with pytest.raises(JobNotFound):
            await engine.get(JobIds(lambda: job.created_at + 60_000).next())
        assert not (await engine.submit(new)).replayed
