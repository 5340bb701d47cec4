"""Which job starts when. What stands here is promised by every engine."""

import asyncio
from collections.abc import Callable

from app.jobs.engine import Engine
from app.jobs.models import ErrorType
from app.scheduler import Status
from tests.engines.harness import accepted, ended, idle
from tests.engines.puppets import Puppets, job_of


async def test_first_come_first_served(
    open_engine: Callable[..., Engine], puppets: Puppets
) -> None:
    """Jobs of one task and priority start in the order of their submission."""
    names = [str(number) for number in range(40)]
    async with open_engine(max_running=1) as engine:
        jobs = await asyncio.gather(*(accepted(engine, job_of("hold", name)) for name in names))
        for name in names:
            puppets.end(name)
        await ended(engine, jobs[-1])
    assert puppets.started == names


async def test_first_come_first_served_while_slots_change_hands(
    open_engine: Callable[..., Engine], puppets: Puppets
) -> None:
    """A submission does not overtake one before it that is still being written."""
    names = [str(number) for number in range(60)]
    async with open_engine(max_running=2) as engine:
        submissions = []
        for name in names:
            puppets.end(name)
            submissions.append(asyncio.create_task(accepted(engine, job_of("hold", name))))
            await asyncio.sleep(0)
        for submission in submissions:
            await ended(engine, await submission)
    assert puppets.started == names


async def test_priority(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """Of the jobs that wait, those of a higher priority start first."""
    async with open_engine(max_running=1) as engine:
        first = await accepted(engine, job_of("hold", "first"))
        await puppets.begun("first")
        priorities = {"low": -1, "normal": 0, "high": 5, "also high": 5, "lowest": -9}
        for name, priority in priorities.items():
            last = await accepted(engine, job_of("hold", name, priority=priority))
            puppets.end(name)
        puppets.end("first")
        await ended(engine, first)
        await ended(engine, last)
    assert puppets.started == ["first", "high", "also high", "normal", "low", "lowest"]


async def test_max_running(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """Never do more jobs run than there are slots, and all slots are used."""
    async with open_engine(max_running=3) as engine:
        jobs = [await accepted(engine, job_of("hold", str(number))) for number in range(20)]
        for number in range(3):
            await puppets.begun(str(number))
        for number in range(20):
            puppets.end(str(number))
        for job in jobs:
            await ended(engine, job)
    assert puppets.peak[""] == 3


async def test_limit_of_a_task(engine: Engine, puppets: Puppets) -> None:
    """Never do more jobs of a task run than it allows, and those of others pass it by."""
    pairs = [await accepted(engine, job_of("pair", str(number))) for number in range(10)]
    await accepted(engine, job_of("hold", "other"))
    await puppets.begun("other")
    assert engine.health().running == 3
    assert engine.health().pending == 8
    for number in range(10):
        puppets.end(str(number))
    for job in pairs:
        await ended(engine, job)
    assert puppets.peak["pair"] == 2
    assert [name for name in puppets.started if name != "other"] == [str(n) for n in range(10)]


async def test_delay(engine: Engine, puppets: Puppets) -> None:
    """A delayed job is pending, and starts no earlier than it is due; others pass it."""
    later = await accepted(engine, job_of("hold", "later", delay=3600))
    assert (later.status, later.run_at) == (Status.PENDING, later.created_at + 3_600_000)
    soon = await accepted(engine, job_of("echo", delay=0.3))
    assert soon.run_at == soon.created_at + 300
    await accepted(engine, job_of("hold", "now"))
    await puppets.begun("now")
    soon = await ended(engine, soon)
    assert soon.started_at is not None
    assert soon.started_at >= soon.run_at
    assert await engine.get(later.id) == later
    assert puppets.started == ["now"]


async def test_run_at(engine: Engine) -> None:
    """A job may name its time; one in the past is now."""
    near = await accepted(engine, job_of("echo"))
    past = await accepted(engine, job_of("echo", run_at=near.created_at - 60_000))
    assert past.run_at == past.created_at
    future = await accepted(engine, job_of("echo", run_at=near.created_at + 60_000))
    assert (future.status, future.run_at) == (Status.PENDING, near.created_at + 60_000)
    assert (await ended(engine, past)).status is Status.COMPLETED


async def test_not_started_in_time(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A job that could not start within its time fails, and never starts."""
    async with open_engine(max_running=1) as engine:
        await accepted(engine, job_of("hold", "a"))
        await puppets.begun("a")
        job = await accepted(engine, job_of("hold", "b", start_within=0.02))
        job = await ended(engine, job)
        assert (job.status, job.attempt) == (Status.FAILED, 0)
        assert job.error is not None
        assert job.error.type is ErrorType.NOT_STARTED_IN_TIME
        assert puppets.started == ["a"]


async def test_started_in_time(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """The time to start does not bound the run, nor the wait for a second attempt."""
    async with open_engine(max_running=1) as engine:
        first = await accepted(engine, job_of("hold", "first"))
        job = await accepted(engine, job_of("persistent", "a", start_within=2))
        puppets.end("first")
        await ended(engine, first)
        await puppets.begun("a")
        await engine.wait(job.id, timeout=2.02)
        puppets.fail("a", ValueError("after that time"))
        puppets.end("a", attempt=2)
        assert (await ended(engine, job)).status is Status.COMPLETED


async def test_slots_of_every_ending(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """However a job ends, its slot is free again."""
    async with open_engine(max_running=1) as engine:
        puppets.fail("fails", ValueError())
        await ended(engine, await accepted(engine, job_of("hold", "fails")))
        await ended(engine, await accepted(engine, job_of("brief", "takes too long")))
        await ended(engine, await accepted(engine, job_of("number", params={"value": "bad"})))
        for task in ("hold", "tidy", "messy"):
            job = await accepted(engine, job_of(task, task))
            await puppets.begun(task)
            await engine.cancel(job.id)
            await ended(engine, job)
        first = await accepted(engine, job_of("echo"))
        second = await accepted(engine, job_of("echo"))
        await engine.cancel(second.id)
        await ended(engine, first)
        await ended(engine, second)
        await idle(engine)
        assert (await ended(engine, await accepted(engine, job_of("echo")))).done
