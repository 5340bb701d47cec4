"""Jobs of several owners. What stands here is promised by every engine."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import aclosing

import pytest

from app.jobs.engine import Engine
from app.jobs.errors import JobExpired, JobNotFound, QueueFull
from app.jobs.events import EventKind, Watch
from app.jobs.models import JobQuery, Submitted
from app.scheduler import Status
from tests.engines.harness import LONG, accepted, ended, removed
from tests.engines.puppets import Puppets, job_of

OWNERS = ("anna", "bob", None)


async def test_another_owners_job_is_not_there(engine: Engine) -> None:
    """With an owner, anybody else's job is one that was never there; without, it is there."""
    jobs = {owner: await accepted(engine, job_of("echo", owner=owner)) for owner in OWNERS}
    for owner, job in jobs.items():
        assert (await engine.get(job.id)).owner == owner
        for other in ("anna", "bob"):
            if other == owner:
                assert (await engine.get(job.id, owner=other)).id == job.id
            else:
                with pytest.raises(JobNotFound):
                    await engine.get(job.id, owner=other)


async def test_foreign_is_expired_where_unknown_is(open_engine: Callable[..., Engine]) -> None:
    """A foreign id older than the newest removed job answers as any absent one of that age."""
    async with open_engine() as engine:
        foreign = await accepted(engine, job_of("echo", owner="bob", delay=3600))
        gone = await ended(engine, await accepted(engine, job_of("echo", owner="anna")))
    async with open_engine(retention=0.0) as engine:
        await removed(engine, gone)
        with pytest.raises(JobExpired):
            await engine.get(foreign.id, owner="anna")


async def test_copies(engine: Engine) -> None:
    """Only one's own jobs can be copied, unless any may be."""
    job = await accepted(engine, job_of("echo", owner="anna", delay=3600))
    copy = job_of("", params=None, copy_of=job.id, owner="bob", copies_any=False)
    for use in (engine.check, engine.submit):
        with pytest.raises(JobNotFound):
            await use(copy)
    copy = job_of("", params=None, copy_of=job.id, owner="bob")
    assert (await accepted(engine, copy)).owner == "bob"


async def test_lists(engine: Engine) -> None:
    """A list of one owner has that owner's jobs only, by every filter."""
    for number, owner in itertools.product(range(3), OWNERS):
        labels = {"number": str(number)}
        await ended(engine, await accepted(engine, job_of("echo", owner=owner, labels=labels)))
        await accepted(engine, job_of("hold", "x", owner=owner, labels=labels, delay=3600))
    everything = (await engine.list(JobQuery())).items
    assert len(everything) == 18
    for who, statuses, tasks, wanted in itertools.product(
        ("anna", "bob", "carl"),
        ((), (Status.PENDING,), (Status.PENDING, Status.COMPLETED)),
        ((), ("echo",), ("echo", "hold")),
        ((), (("number", "1"),)),
    ):
        query = JobQuery(owner=who, statuses=statuses, tasks=tasks, labels=wanted)
        found = [job.id for job in (await engine.list(query)).items]
        assert found == [
            job.id
            for job in everything
            if job.owner == who
            and job.status in (statuses or Status)
            and job.task in (tasks or (job.task,))
            and set(wanted) <= set(job.labels.items())
        ]


async def test_streams(engine: Engine) -> None:
    """A stream of one owner's jobs tells of no other."""
    jobs = [
        await ended(engine, await accepted(engine, job_of("echo", owner=owner))) for owner in OWNERS
    ]
    query = JobQuery(owner="bob")
    async with aclosing(engine.watch(Watch(query=query, since=0))) as events:
        assert (await anext(events)).kind is EventKind.POSITION
        event = await anext(events)
    assert event.job is not None
    assert event.job.id == jobs[1].id


async def test_figures(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """Counts of one owner are of that owner's jobs, after a restart and an expiry too."""
    async with open_engine() as engine:
        for owner, count in (("anna", 2), ("bob", 3)):
            for _ in range(count):
                await ended(engine, await accepted(engine, job_of("echo", owner=owner)))
        await accepted(engine, job_of("echo", owner="bob", delay=3600))
        await check_figures(engine, finished=(2, 3, 5))
    async with open_engine() as engine:
        await check_figures(engine, finished=(2, 3, 5))
        last = await ended(engine, await accepted(engine, job_of("echo", owner="bob")))
    async with open_engine(retention=0.0) as engine:
        await removed(engine, last)
        async with asyncio.timeout(LONG):  # counted a moment after they are gone
            while (await engine.figures()).jobs[Status.COMPLETED]:  # noqa: ASYNC110  no event says
                await asyncio.sleep(0.001)
        await check_figures(engine, finished=(0, 0, 0))


async def check_figures(engine: Engine, finished: tuple[int, ...]) -> None:
    """What has completed of anna's, of bob's and of all jobs; bob has one pending."""
    for owner, done in zip(("anna", "bob", None), finished, strict=True):
        figures = await engine.figures(owner)
        assert figures.jobs[Status.COMPLETED] == done
        assert figures.jobs[Status.PENDING] == (owner != "anna")
        assert (figures.oldest_pending is None) == (owner == "anna")
        task = figures.tasks.get("echo")
        assert (0 if task is None else task.jobs[Status.COMPLETED]) == done


async def test_running_at_once(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """No owner has more jobs running than may be; others pass, and each slot goes on."""
    async with open_engine(max_running_of_owner=2) as engine:
        names = [f"{owner}{number}" for number in range(4) for owner in ("a", "b")]
        jobs = {name: await accepted(engine, job_of("hold", name, owner=name[0])) for name in names}
        for name in ("a0", "b0", "a1", "b1"):
            await puppets.begun(name)
        assert sorted(puppets.started) == ["a0", "a1", "b0", "b1"]
        puppets.end("a0")
        await puppets.begun("a2")
        assert "b2" not in puppets.started
        await engine.cancel(jobs["a3"].id)
        for name in names[1:]:
            if name != "a3":
                puppets.end(name)
        for name in names:
            await ended(engine, jobs[name])
        assert "a3" not in puppets.started


async def test_pending_at_once(open_engine: Callable[..., Engine]) -> None:
    """An owner's pending jobs are bounded by themselves, racing submissions too."""
    async with open_engine(max_pending_of_owner=2) as engine:
        for _ in range(2):
            await accepted(engine, job_of("echo", owner="anna", delay=3600))
        with pytest.raises(QueueFull) as full:
            await engine.submit(job_of("echo", owner="anna", delay=3600))
        assert (full.value.depth, full.value.limit) == (2, 2)
        new = job_of("echo", owner="bob", delay=3600)
        racing = await asyncio.gather(
            *(engine.submit(new) for _ in range(5)), return_exceptions=True
        )
        first, _ = (answer.job for answer in racing if isinstance(answer, Submitted))
        with pytest.raises(QueueFull):
            await engine.submit(job_of("echo", owner="bob", delay=3600))
        await engine.cancel(first.id)
        await accepted(engine, job_of("echo", owner="bob", delay=3600))
    async with open_engine(max_pending_of_owner=2) as engine:
        with pytest.raises(QueueFull):
            await engine.submit(job_of("echo", owner="anna", delay=3600))
