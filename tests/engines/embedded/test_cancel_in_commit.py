"""A cancel that arrives while other changes of its job are on their way into the journal."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from app.engines.embedded import EmbeddedEngine
from app.jobs.errors import StoreUnavailable, VersionMismatch
from app.jobs.models import Job
from app.scheduler import Status
from tests.engines.embedded.faults import START, Faults, disk_full, hang, turns
from tests.engines.harness import accepted, ended
from tests.engines.puppets import Puppets, job_of

Open = Callable[..., EmbeddedEngine]

FINISHED_FIRST, CANCELLED_FIRST = "finished first", "cancelled first"


@asynccontextmanager
async def held_up(engine: EmbeddedEngine, faults: Faults) -> AsyncIterator[None]:
    """Have the writer busy with something else: what is queued meanwhile goes into one commit."""
    hanging, go_on = hang(faults)
    busy = asyncio.create_task(engine.submit(job_of("hold", "busy", delay=60)))
    await hanging.wait()
    yield
    go_on.set()
    await busy


def cancels(engine: EmbeddedEngine, job: Job, count: int = 3) -> Awaitable[list[Job]]:
    """Several cancels of a job, under way at once."""
    return asyncio.gather(*(engine.cancel(job.id) for _ in range(count)))


@pytest.mark.parametrize("order", [FINISHED_FIRST, CANCELLED_FIRST])
async def test_with_the_end(
    faults: Faults, engine: EmbeddedEngine, puppets: Puppets, order: str
) -> None:
    """In one commit with the end, what was queued first wins, and every answer shows it."""
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    async with held_up(engine, faults):
        if order == FINISHED_FIRST:
            puppets.end("a", 1)
            await turns()
        answering = asyncio.ensure_future(cancels(engine, job))
        await turns()
        if order == CANCELLED_FIRST:
            puppets.end("a", 1)
            await turns()
    answers = await answering
    last = await ended(engine, job)
    assert last.status is (Status.COMPLETED if order == FINISHED_FIRST else Status.CANCELLED)
    assert last.result == b"1"
    assert last.finished_at is not None
    assert (last.cancel_requested_at is None) is (order == FINISHED_FIRST)
    assert answers == [last] * 3
    assert puppets.cancels["a"] == 0


async def test_with_the_start(faults: Faults, open_embedded: Open, puppets: Puppets) -> None:
    """In one commit with the start, the job is cancelled after one `CancelledError` or none."""
    async with open_embedded(max_running=1) as engine:
        first = await accepted(engine, job_of("hold", "first"))
        job = await accepted(engine, job_of("hold", "a"))
        await puppets.begun("first")
        async with held_up(engine, faults):
            puppets.end("first")
            await turns()
            answering = asyncio.ensure_future(cancels(engine, job))
            await turns()
        answers = await answering
        await ended(engine, first)
        last = await ended(engine, job)
        assert last.status is Status.CANCELLED
        assert len({answer.cancel_requested_at for answer in answers} - {None}) == 1
        assert puppets.cancels["a"] <= 1
        assert puppets.started.count("a") <= 1


async def test_behind_the_start(faults: Faults, open_embedded: Open, puppets: Puppets) -> None:
    """Queued behind the start of its job, a cancel finds it running, and stops it once."""
    async with open_embedded(max_running=1) as engine:
        first = await accepted(engine, job_of("hold", "first"))
        job = await accepted(engine, job_of("tidy", "a"))
        await puppets.begun("first")
        hanging, go_on = hang(faults, START)
        puppets.end("first")
        await ended(engine, first)
        await hanging.wait()
        answering = asyncio.ensure_future(cancels(engine, job))
        await turns()
        go_on.set()
        for answer in await answering:
            assert answer.cancel_requested_at is not None
        last = await ended(engine, job)
    assert (last.status, last.attempt) == (Status.CANCELLED, 1)
    assert puppets.cancels["a"] <= 1


async def test_the_caller_leaves(
    faults: Faults, engine: EmbeddedEngine, puppets: Puppets, caplog: pytest.LogCaptureFixture
) -> None:
    """A cancel is on record although its caller has gone while it was being written."""
    for when in ("before", "in the tick"):
        job = await accepted(engine, job_of("hold", when))
        await puppets.begun(when)
        hanging, go_on = hang(faults)
        cancelling = asyncio.create_task(engine.cancel(job.id))
        await hanging.wait()
        if when == "in the tick":  # the answer is there, and nobody has seen it
            go_on.set()
            while not faults.commits or not puppets.cancels[when]:  # noqa: ASYNC110  no event says
                await asyncio.sleep(0)
        cancelling.cancel()
        await asyncio.wait((cancelling,))
        go_on.set()
        assert (await ended(engine, job)).status is Status.CANCELLED
        assert puppets.cancels[when] == 1
    assert not caplog.records


async def test_cancel_in_the_last_commit(
    faults: Faults, open_embedded: Open, puppets: Puppets
) -> None:
    """A cancel that is written in the very last commit is answered with what it did."""
    engine = await open_embedded(cancel_grace=0).__aenter__()
    job = await accepted(engine, job_of("persistent", "a", delay=60))
    hanging, go_on = hang(faults)
    answering = asyncio.ensure_future(cancels(engine, job))
    await hanging.wait()
    closing = asyncio.create_task(engine.__aexit__(None, None, None))
    await turns()
    with pytest.raises(StoreUnavailable, match="closed"):
        await engine.cancel(job.id)
    go_on.set()
    await closing
    answers = await answering
    async with open_embedded() as engine:
        assert answers == [await engine.get(job.id)] * 3
    assert answers[0].status is Status.CANCELLED


async def test_cancel_of_another_version(engine: EmbeddedEngine, puppets: Puppets) -> None:
    """Of parallel cancels that must know the job's version, one is made and the others are told."""
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    several = [engine.cancel(job.id, if_version=job.version) for _ in range(3)]
    answers = await asyncio.gather(*several, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Job, VersionMismatch, VersionMismatch]
    assert (await ended(engine, job)).status is Status.CANCELLED
    assert puppets.cancels["a"] == 1


async def test_refused_cancel_changes_nothing(
    faults: Faults, engine: EmbeddedEngine, puppets: Puppets
) -> None:
    """A cancel that could not be recorded stops nothing."""
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    faults.fail(disk_full())
    with pytest.raises(StoreUnavailable):
        await engine.cancel(job.id)
    faults.mend()
    puppets.end("a", 1)
    assert (await ended(engine, job)).status is Status.COMPLETED
    assert puppets.cancels["a"] == 0
