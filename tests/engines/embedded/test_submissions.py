"""Submissions, cancels and starts that cross each other on their way into the journal."""

import asyncio
from collections.abc import Callable

from app.engines.embedded import EmbeddedEngine
from app.scheduler import Status
from tests.engines.embedded.faults import CANCEL, Faults, hang, turns
from tests.engines.harness import accepted, ended, idle
from tests.engines.puppets import Puppets, job_of

Open = Callable[..., EmbeddedEngine]


async def test_cancel_before_the_start(
    faults: Faults, open_embedded: Open, puppets: Puppets
) -> None:
    """A job whose cancel reaches the journal just before its start never starts."""
    async with open_embedded(max_running=1) as engine:
        first = await accepted(engine, job_of("hold", "first"))
        job = await accepted(engine, job_of("hold", "a"))
        hanging, go_on = hang(faults)
        puppets.end("first")
        await hanging.wait()
        cancelling = asyncio.create_task(engine.cancel(job.id))
        await turns()
        hanging, then_go_on = hang(faults, CANCEL)
        go_on.set()
        await hanging.wait()
        await ended(engine, first)
        await turns()
        then_go_on.set()
        assert (await cancelling).status is Status.CANCELLED
        assert (await ended(engine, await accepted(engine, job_of("echo")))).done
        await idle(engine)
    assert puppets.started == ["first"]


async def test_cancel_behind_the_end(
    faults: Faults, engine: EmbeddedEngine, puppets: Puppets
) -> None:
    """A cancel that reaches the journal just after the outcome finds a job that has completed."""
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    hanging, go_on = hang(faults)
    puppets.end("a", 1)
    await hanging.wait()
    cancelling = asyncio.create_task(engine.cancel(job.id))
    await turns()
    go_on.set()
    done = await cancelling
    assert (done.status, done.cancel_requested_at) == (Status.COMPLETED, None)
    assert puppets.cancels["a"] == 0


async def test_cancel_before_the_retry(
    faults: Faults, engine: EmbeddedEngine, puppets: Puppets
) -> None:
    """A cancel that reaches the journal just after a failed attempt ends the job all the same."""
    job = await accepted(engine, job_of("persistent", "a"))
    await puppets.begun("a")
    hanging, go_on = hang(faults)
    puppets.fail("a", ValueError())
    await hanging.wait()
    cancelling = asyncio.create_task(engine.cancel(job.id))
    await turns()
    go_on.set()
    done = await cancelling
    assert (done.status, done.cancel_requested_at is not None) == (Status.CANCELLED, True)
    await idle(engine)
    assert (await engine.get(job.id)).attempt == len(puppets.started)


async def test_no_overtaking(faults: Faults, open_embedded: Open, puppets: Puppets) -> None:
    """A slot that becomes free while an older job is being written is not given to a newer one."""
    async with open_embedded(max_running=1) as engine:
        await accepted(engine, job_of("hold", "first"))
        await puppets.begun("first")
        hanging, go_on = hang(faults)
        puppets.end("first")
        await hanging.wait()
        older = asyncio.create_task(accepted(engine, job_of("hold", "older")))
        await turns()
        hanging, then_go_on = hang(faults)
        go_on.set()
        await hanging.wait()
        await turns()
        newer = asyncio.create_task(accepted(engine, job_of("hold", "newer")))
        await turns()
        then_go_on.set()
        for name, submitting in (("older", older), ("newer", newer)):
            puppets.end(name)
            await ended(engine, await submitting)
    assert puppets.started == ["first", "older", "newer"]
