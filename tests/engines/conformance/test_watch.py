"""Watching jobs. What stands here is promised by every engine."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from app.jobs.engine import Engine
from app.jobs.events import EventKind, JobEvent, Watch
from app.jobs.models import JobQuery, Progress
from app.scheduler import Status
from tests.engines.harness import LONG, accepted, ended, removed
from tests.engines.puppets import Puppets, job_of

STATES = (EventKind.STATUS, EventKind.DONE)


async def next_of(events: AsyncGenerator[JobEvent, None], *kinds: EventKind) -> JobEvent:
    """The next event of one of these kinds, or of any."""
    async with asyncio.timeout(LONG):
        async for event in events:
            if not kinds or event.kind in kinds:
                return event
    raise AssertionError("the stream has ended")


async def rest_of(events: AsyncGenerator[JobEvent, None]) -> list[JobEvent]:
    """All events to the end of the stream."""
    async with asyncio.timeout(LONG):
        return [event async for event in events]


async def test_life_of_one_job(engine: Engine, puppets: Puppets) -> None:
    """A job's stream has its state, what it reports, its end, and no more."""
    job = await accepted(engine, job_of("talk", "a"))
    async with aclosing(engine.watch(Watch(job_id=job.id))) as events:
        first = await next_of(events)
        progress = await next_of(events, EventKind.PROGRESS)
        assert progress.progress == Progress(0.25, "a quarter")
        line = (await next_of(events, EventKind.LOG)).line
        assert line is not None
        assert (line.number, line.attempt, line.message) == (1, 1, "a line")
        assert progress.version is None
        running = await engine.get(job.id)
        assert first.kind is EventKind.STATUS
        assert first.version in (job.version, running.version)
        puppets.end("a", "over")
        [done] = await rest_of(events)
    assert done.kind is EventKind.DONE
    assert done.job is not None
    assert done.job.status is Status.COMPLETED
    assert done.version == (await engine.get(job.id)).version


async def test_stream_of_a_finished_job(engine: Engine) -> None:
    """A stream opened on a finished job says that it is done, and ends."""
    job = await ended(engine, await accepted(engine, job_of("echo")))
    events = await rest_of(engine.watch(Watch(job_id=job.id)))
    assert [(event.kind, event.version) for event in events] == [(EventKind.DONE, job.version)]


async def test_resumed_stream_of_one_job(engine: Engine, puppets: Puppets) -> None:
    """A resumed stream says what changed since, and repeats nothing."""
    job = await accepted(engine, job_of("talk", "a"))
    await puppets.begun("a")
    job = await engine.get(job.id)
    async with aclosing(engine.watch(Watch(job_id=job.id, since=job.version))) as events:
        puppets.end("a")
        assert [event.kind for event in await rest_of(events)] == [EventKind.DONE]
    finished = await engine.get(job.id)
    assert await rest_of(engine.watch(Watch(job_id=job.id, since=finished.version))) == []


async def test_retries_are_seen(engine: Engine, puppets: Puppets) -> None:
    """The states between attempts are told, in the order of their numbers."""
    puppets.fail("a", ValueError("once"))
    puppets.end("a", attempt=2)
    job = await accepted(engine, job_of("persistent", "a", delay=0.05))
    events = await rest_of(engine.watch(Watch(job_id=job.id)))
    versions = [event.version for event in events if event.kind in STATES]
    assert versions == sorted(set(versions), key=lambda version: version or 0)
    assert events[-1].job is not None
    assert events[-1].job.attempt == 2


async def test_all_jobs(engine: Engine, puppets: Puppets) -> None:
    """The stream of all jobs begins with its position, and tells each later change."""
    before = await ended(engine, await accepted(engine, job_of("echo")))
    async with aclosing(engine.watch(Watch())) as events:
        opening = await next_of(events)
        assert (opening.kind, opening.version) == (EventKind.POSITION, before.version)
        job = await accepted(engine, job_of("hold", "a"))
        await puppets.begun("a")
        job = await engine.get(job.id)
        told = await next_of(events, *STATES)
        while told.job is not None and told.job.status is Status.PENDING:
            told = await next_of(events, *STATES)
        assert told.job is not None
        assert (told.job.id, told.version) == (job.id, job.version)
        puppets.end("a")
        assert (await next_of(events, *STATES)).kind is EventKind.DONE


async def test_new_jobs_are_told(engine: Engine) -> None:
    """A job that only waits is told of, though nothing has happened to it yet."""
    async with aclosing(engine.watch(Watch())) as events:
        await next_of(events)
        for _ in range(2):
            reading = asyncio.create_task(next_of(events, *STATES))
            job = await accepted(engine, job_of("echo", delay=60))
            told = (await reading).job
            assert told is not None
            assert (told.id, told.status) == (job.id, Status.PENDING)


async def test_resume_has_no_gap(engine: Engine, puppets: Puppets) -> None:
    """Resuming tells the latest state of each job changed since, in the order of changes."""
    jobs = [await accepted(engine, job_of("hold", name)) for name in "abc"]
    for name in "abc":
        await puppets.begun(name)
    for name in "ca":
        puppets.end(name)
    for job in (jobs[2], jobs[0]):
        await ended(engine, job)
    async with aclosing(engine.watch(Watch(since=jobs[0].version))) as events:
        assert (await next_of(events)).version == jobs[0].version
        told = [await next_of(events, *STATES) for _ in jobs]
    latest = {job.id: (await engine.get(job.id)).version for job in jobs}
    assert {event.job.id: event.version for event in told if event.job} == latest
    assert [event.version for event in told] == sorted(latest.values())


async def test_resume_over_a_restart(open_engine: Callable[..., Engine]) -> None:
    """The numbers outlive the process."""
    async with open_engine() as engine:
        first = await ended(engine, await accepted(engine, job_of("echo")))
        second = await ended(engine, await accepted(engine, job_of("echo")))
    async with (
        open_engine() as engine,
        aclosing(engine.watch(Watch(since=first.version))) as events,
    ):
        told = await next_of(events, *STATES)
    assert told.job is not None
    assert (told.job.id, told.version) == (second.id, second.version)


async def test_numbers_out_of_reach(open_engine: Callable[..., Engine]) -> None:
    """When jobs that changed since are gone, or the number never was, the stream says so."""
    async with open_engine(retention=0) as engine:
        first = await accepted(engine, job_of("echo"))
        await removed(engine, first)
        for since in (0, 1_000_000):
            async with aclosing(engine.watch(Watch(since=since))) as events:
                opening = await next_of(events)
                assert opening.kind is EventKind.RESET
                assert opening.version is not None
            async with aclosing(engine.watch(Watch(since=opening.version))) as events:
                assert (await next_of(events)).kind is EventKind.POSITION


@pytest.mark.parametrize(
    "query",
    [
        JobQuery(statuses=(Status.COMPLETED, Status.FAILED)),
        JobQuery(tasks=("echo",)),
        JobQuery(labels=(("order", "42"),)),
    ],
)
async def test_filters(engine: Engine, puppets: Puppets, query: JobQuery) -> None:
    """A stream tells only of the jobs that fit its filters, reports included."""
    async with aclosing(engine.watch(Watch(query=query))) as events:
        await next_of(events)
        await accepted(engine, job_of("talk", "a", labels={"order": "41"}))
        await puppets.begun("a")
        wanted = await accepted(engine, job_of("echo", labels={"order": "42"}))
        told = await next_of(events)
        assert told.job is not None
        assert told.job.id == wanted.id


async def test_reports_of_all_jobs(engine: Engine, puppets: Puppets) -> None:
    """Those who watch all jobs are told the state of each, then what its coroutine reports."""
    async with aclosing(engine.watch(Watch())) as events:
        await next_of(events)
        job = await accepted(engine, job_of("talk", "a"))
        told = await next_of(events)
        while told.job is not None and told.job.status is Status.PENDING:
            told = await next_of(events)
        reports = [await next_of(events) for _ in range(2)]
        kinds = [event.kind for event in (told, *reports)]
        assert kinds == [EventKind.STATUS, EventKind.PROGRESS, EventKind.LOG]
        assert {event.job_id for event in reports} == {job.id}
        puppets.end("a")
        assert (await next_of(events)).kind is EventKind.DONE


async def test_draining_ends_streams(engine: Engine, puppets: Puppets) -> None:
    """Nobody who watches holds up a shutdown."""
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    streams = [engine.watch(Watch(job_id=job.id)), engine.watch(Watch())]
    for stream in streams:
        await next_of(stream)
    ends = [asyncio.create_task(rest_of(stream)) for stream in streams]
    await asyncio.sleep(0)
    engine.drain()
    await asyncio.gather(*ends)


async def test_slow_watchers_skip_states(engine: Engine) -> None:
    """One who does not read is told the latest state of each job once, whatever has happened."""
    async with aclosing(engine.watch(Watch())) as events:
        await next_of(events)
        jobs = [await ended(engine, await accepted(engine, job_of("echo"))) for _ in range(20)]
        told = [await next_of(events) for _ in jobs]
    assert [event.version for event in told] == [job.version for job in jobs]
    assert all(event.kind is EventKind.DONE for event in told)
