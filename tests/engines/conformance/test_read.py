"""Reading, listing and waiting. What stands here is promised by every engine."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import pytest

from app.jobs.engine import Engine
from app.jobs.errors import JobNotFound
from app.jobs.models import JobQuery
from app.scheduler import Status
from tests.engines.harness import LONG, accepted, ended
from tests.engines.puppets import Puppets, job_of


@pytest.mark.parametrize(
    "job_id",
    [
        UUID("00000000-0000-0000-0000-000000000000"),
        UUID("a8098c1a-f86e-41da-bd1a-00112444be1e"),
        UUID("ffffffff-ffff-7fff-bfff-ffffffffffff"),
    ],
)
async def test_unknown_id(engine: Engine, job_id: UUID) -> None:
    """An id that never was is not found, even if it could be none of ours."""
    with pytest.raises(JobNotFound):
        await engine.get(job_id)
    with pytest.raises(JobNotFound):
        await engine.wait(job_id, timeout=1)


async def test_pages(engine: Engine) -> None:
    """Pages go from the newest job to the oldest, and stay as they are while jobs arrive."""
    jobs = [await accepted(engine, job_of("echo")) for _ in range(5)]
    first = await engine.list(JobQuery(limit=2))
    await accepted(engine, job_of("echo"))
    second = await engine.list(JobQuery(limit=2, before=first.next))
    third = await engine.list(JobQuery(limit=2, before=second.next))
    pages = [[job.id for job in page.items] for page in (first, second, third)]
    newest_first = [job.id for job in reversed(jobs)]
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    assert third.next is None


async def test_last_page_is_full(engine: Engine) -> None:
    """When nothing follows a full page, it says so."""
    for _ in range(2):
        await accepted(engine, job_of("echo"))
    assert (await engine.list(JobQuery(limit=2))).next is None


async def test_summaries(engine: Engine, puppets: Puppets) -> None:
    """A list shows status, labels, error and progress, as the job itself does."""
    await ended(engine, await accepted(engine, job_of("number", params={"value": "bad"})))
    await accepted(engine, job_of("talk", "a", labels={"order": "42"}))
    await puppets.begun("a")
    for summary in (await engine.list(JobQuery())).items:
        job = await engine.get(summary.id)
        for name in ("status", "version", "labels", "error", "progress", "run_at", "finished_at"):
            assert getattr(summary, name) == getattr(job, name)


async def test_wait(engine: Engine, puppets: Puppets) -> None:
    """Waiting gives the job when it has ended."""
    job = await accepted(engine, job_of("hold", "a"))
    waiting = asyncio.create_task(engine.wait(job.id, timeout=LONG))
    await puppets.begun("a")
    assert not waiting.done()
    puppets.end("a", 1)
    assert (await waiting).result == b"1"


async def test_wait_runs_out(engine: Engine, puppets: Puppets) -> None:
    """A wait that runs out gives the job as it stands, and leaves it alone."""
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    assert (await engine.wait(job.id, timeout=0.01)).status is Status.RUNNING
    assert (await engine.wait(job.id, timeout=0)).status is Status.RUNNING
    assert puppets.cancels["a"] == 0


async def test_wait_for_a_change(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A wait since a version ends with the first change, or at once if there has been one."""
    async with open_engine(max_running=1) as engine:
        await accepted(engine, job_of("hold", "a"))
        pending = await accepted(engine, job_of("hold", "b"))
        waiting = asyncio.create_task(engine.wait(pending.id, timeout=LONG, since=pending.version))
        await asyncio.sleep(0)
        puppets.end("a")
        assert (await waiting).status is Status.RUNNING
        job = await engine.wait(pending.id, timeout=LONG, since=pending.version)
        assert job.status is Status.RUNNING


async def test_wait_for_a_finished_job(engine: Engine) -> None:
    """A finished job does not change, so that nobody waits for it."""
    job = await ended(engine, await accepted(engine, job_of("echo")))
    assert await engine.wait(job.id, timeout=LONG, since=job.version) == job


async def test_waiter_gives_up(engine: Engine, puppets: Puppets) -> None:
    """Cancelling one waiter touches neither the job nor the others."""
    job = await accepted(engine, job_of("hold", "a"))
    one, other = (asyncio.create_task(engine.wait(job.id, timeout=LONG)) for _ in range(2))
    await puppets.begun("a")
    one.cancel()
    await asyncio.wait((one,))
    puppets.end("a")
    assert (await other).status is Status.COMPLETED


async def test_draining_lets_waiters_go(engine: Engine, puppets: Puppets) -> None:
    """When the engine drains, each waiter gets its job as it stands."""
    job = await accepted(engine, job_of("hold", "a"))
    waiting = asyncio.create_task(engine.wait(job.id, timeout=LONG))
    await puppets.begun("a")
    engine.drain()
    async with asyncio.timeout(LONG / 4):
        assert (await waiting).status is Status.RUNNING
        assert (await engine.wait(job.id, timeout=LONG)).status is Status.RUNNING
    puppets.end("a")
