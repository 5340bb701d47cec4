"""Who asks for a job while its outcome is on its way to the disk."""

from collections.abc import Callable

import pytest

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded import engine as module
from app.engines.embedded.dispatcher import Dispatcher
from app.jobs.errors import JobNotFound
from app.jobs.models import Job
from app.scheduler import Status
from tests.engines.embedded.faults import Faults, disk_full, hang, turns
from tests.engines.harness import accepted, ended
from tests.engines.puppets import Puppets, job_of

pytestmark = pytest.mark.timeout(20)

NEVER = 3600.0


@pytest.fixture
def settles_within(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for an outcome does so for longer than any test takes."""
    monkeypatch.setattr(module, "SETTLES_WITHIN", NEVER)


async def ending(engine: EmbeddedEngine, puppets: Puppets, **options: str) -> Job:
    """A job whose coroutine has ended and whose outcome is queued."""
    job = await accepted(engine, job_of("hold", "a", **options))
    await puppets.begun("a")
    puppets.end("a", "kept")
    while not _has_ended(engine._dispatcher, job):
        await turns(1)
    return job


def _has_ended(dispatcher: Dispatcher, job: Job) -> bool:
    live = dispatcher.live(job.id)
    return live is not None and live.is_ending


@pytest.mark.usefixtures("settles_within")
async def test_told_of_the_outcome(engine: EmbeddedEngine, puppets: Puppets) -> None:
    """Who asks for a job that has ended, but not on disk yet, is told how it has ended."""
    job = await engine.get((await ending(engine, puppets)).id)
    assert (job.status, job.result) == (Status.COMPLETED, b'"kept"')


async def test_no_longer_than_a_moment(
    faults: Faults, engine: EmbeddedEngine, puppets: Puppets
) -> None:
    """Of a disk that is slow nobody waits to be told what it has by then."""
    job = await accepted(engine, job_of("hold", "a"))
    hanging, go_on = hang(faults, at="UPDATE jobs")
    await puppets.begun("a")
    puppets.end("a")
    await hanging.wait()
    assert (await engine.get(job.id)).status is Status.RUNNING
    go_on.set()
    assert (await ended(engine, job)).done


@pytest.mark.usefixtures("settles_within")
async def test_not_while_the_store_fails(
    faults: Faults, engine: EmbeddedEngine, puppets: Puppets
) -> None:
    """While nothing can be written nobody waits for it."""
    job = await ending(engine, puppets)
    faults.fail(disk_full())
    while engine.health().ready:
        await turns(1)
    assert (await engine.get(job.id)).status is Status.RUNNING
    faults.mend()
    assert (await ended(engine, job)).done


@pytest.mark.usefixtures("settles_within")
async def test_another_owner_learns_nothing(
    open_embedded: Callable[..., EmbeddedEngine], puppets: Puppets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long an answer takes does not tell whether somebody else has such a job."""
    monkeypatch.setattr("app.engines.embedded.writer.MOMENT", NEVER)
    async with open_embedded(housekeeping_every=NEVER) as engine:
        job = await ending(engine, puppets, owner="anna")
        with pytest.raises(JobNotFound):
            await engine.get(job.id, owner="boris")


@pytest.mark.usefixtures("settles_within")
async def test_not_in_a_further_attempt(engine: EmbeddedEngine, puppets: Puppets) -> None:
    """A job that runs again is shown at once: what has ended was an earlier attempt."""
    job = await accepted(engine, job_of("persistent", "a"))
    puppets.fail("a", ValueError("no"))
    await puppets.begun("a", 2)
    assert (await engine.get(job.id)).attempt == 2
    puppets.end("a", attempt=2)
    await ended(engine, job)


async def test_how_long_it_ran(
    open_embedded: Callable[..., EmbeddedEngine], faults: Faults, puppets: Puppets
) -> None:
    """How long it took to write how a job has ended is no part of how long it ran."""
    now = [10**12]
    async with open_embedded(now=lambda: now[0]) as engine:
        job = await accepted(engine, job_of("hold", "a"))
        hanging, go_on = hang(faults, at="UPDATE jobs")
        await puppets.begun("a")
        now[0] += 2_000
        puppets.end("a")
        await hanging.wait()
        now[0] += 3_600_000
        go_on.set()
        await ended(engine, job)
        durations = (await engine.figures()).tasks["hold"].durations
        assert durations is not None
        assert durations.p99 == pytest.approx(2, rel=0.1)
