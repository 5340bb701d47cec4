"""Due times and clocks that are set."""

from collections.abc import Callable

from app.engines.embedded import EmbeddedEngine
from app.jobs.models import ErrorType
from app.scheduler import Status
from tests.engines.clock import WallClock, skip
from tests.engines.harness import accepted, ended
from tests.engines.puppets import Puppets, job_of

Open = Callable[..., EmbeddedEngine]

HOUR = 3_600


async def test_due(engine: EmbeddedEngine, puppets: Puppets) -> None:
    """A delayed job starts when its time has come, and not before."""
    job = await accepted(engine, job_of("echo", delay=HOUR))
    skip(HOUR - 1)
    assert (await engine.wait(job.id, timeout=0.01)).status is Status.PENDING
    skip(1)
    job = await ended(engine, job)
    assert job.started_at is not None
    assert job.run_at <= job.started_at < job.run_at + 1_000


async def test_in_order_of_their_times(open_embedded: Open, puppets: Puppets) -> None:
    """Jobs that come due together start in the order of their times."""
    async with open_embedded(max_running=1) as engine:
        jobs = {}
        for delay in (30, 10, 20):
            puppets.end(str(delay))
            jobs[delay] = await accepted(engine, job_of("hold", str(delay), delay=delay))
        skip(60)
        for job in jobs.values():
            await ended(engine, job)
    assert puppets.started == ["10", "20", "30"]


async def test_due_comes_before_new(open_embedded: Open, puppets: Puppets) -> None:
    """A job that has come due is not overtaken by one that is submitted just then."""
    async with open_embedded(max_running=1) as engine:
        for name in ("delayed", "new"):
            puppets.end(name)
        await accepted(engine, job_of("hold", "delayed", delay=10))
        skip(11)
        job = await accepted(engine, job_of("hold", "new"))
        await ended(engine, job)
    assert puppets.started == ["delayed", "new"]


async def test_clock_set_forward(engine: EmbeddedEngine, clock: WallClock) -> None:
    """When the wall clock is set forward, a job that is due then starts within a minute."""
    job = await accepted(engine, job_of("echo", delay=5 * HOUR))
    clock.set_by(6 * HOUR)
    skip(60)
    assert (await ended(engine, job)).status is Status.COMPLETED


async def test_clock_set_back(engine: EmbeddedEngine, clock: WallClock) -> None:
    """When the wall clock is set back, a delayed job waits for its time by that clock."""
    job = await accepted(engine, job_of("echo", delay=10))
    clock.set_by(-HOUR)
    skip(11)
    assert (await engine.wait(job.id, timeout=0.01)).status is Status.PENDING
    skip(HOUR)
    assert (await ended(engine, job)).status is Status.COMPLETED


async def test_ids_after_the_clock_was_set_back(engine: EmbeddedEngine, clock: WallClock) -> None:
    """Ids go on growing when the clock is set back."""
    before = await accepted(engine, job_of("echo"))
    clock.set_by(-HOUR)
    assert (await accepted(engine, job_of("echo"))).id > before.id


async def test_no_delay_after_the_clock_was_set_back(
    engine: EmbeddedEngine, clock: WallClock
) -> None:
    """A job without a delay starts at once, though the clock was set back before."""
    await accepted(engine, job_of("echo"))
    clock.set_by(-HOUR)
    assert (await ended(engine, await accepted(engine, job_of("echo")))).done


async def test_started_exactly_in_time(engine: EmbeddedEngine, puppets: Puppets) -> None:
    """A job that may not wait at all starts if a slot is free."""
    puppets.end("a")
    job = await accepted(engine, job_of("hold", "a", start_within=0))
    assert (await ended(engine, job)).status is Status.COMPLETED


async def test_not_started_while_stopped(open_embedded: Open, clock: WallClock) -> None:
    """A job whose time to start ran out while the engine was stopped fails when it starts again."""
    async with open_embedded() as engine:
        job = await accepted(engine, job_of("echo", delay=10, start_within=10))
        later = await accepted(engine, job_of("echo", delay=10, start_within=HOUR))
    clock.set_by(60)
    async with open_embedded() as engine:
        job = await ended(engine, job)
        assert (await ended(engine, later)).status is Status.COMPLETED
    assert (job.status, job.attempt) == (Status.FAILED, 0)
    assert job.error is not None
    assert job.error.type is ErrorType.NOT_STARTED_IN_TIME


async def test_started_at_once_and_again(
    engine: EmbeddedEngine, puppets: Puppets, clock: WallClock
) -> None:
    """The time to start bounds the first start alone, though the job never had to wait for it."""
    job = await accepted(engine, job_of("patient", "a", start_within=1))
    puppets.fail("a", ValueError("not yet"))
    puppets.end("a", attempt=2)
    await engine.wait(job.id, timeout=5, since=job.version)
    skip(61)
    assert (await ended(engine, job)).status is Status.COMPLETED


async def test_unknown_task_is_late(open_embedded: Open, clock: WallClock) -> None:
    """A job whose task is gone fails a day past its due time, and once."""
    async with open_embedded() as engine:
        job = await accepted(engine, job_of("echo", delay=HOUR))
    without = {"without": ("echo",), "housekeeping_every": 0.01}
    async with open_embedded(**without) as engine:
        clock.set_by(24 * HOUR)
        assert (await engine.wait(job.id, timeout=0.05)).status is Status.PENDING
        clock.set_by(HOUR + 1)
        job = await ended(engine, job)
    assert job.error is not None
    assert job.error.type is ErrorType.UNKNOWN_TASK
