"""Lists by filter. What stands here is promised by every engine."""

import itertools

import pytest

from app.jobs.engine import Engine
from app.jobs.models import Job, JobQuery
from app.scheduler import Status
from tests.engines.harness import accepted, ended
from tests.engines.puppets import Puppets, job_of

STATUSES = ((), (Status.COMPLETED,), (Status.FAILED, Status.RUNNING), (Status.PENDING,))
TASKS = ((), ("echo",), ("number", "hold"), ("unheard",))
LABELS = ((), (("side", "left"),), (("side", "left"), ("size", "2")), (("side", "up"),))


@pytest.fixture
async def jobs(engine: Engine, puppets: Puppets) -> list[Job]:
    """Jobs of three tasks in four statuses with some labels, newest first."""
    submitted = []
    for number, side in itertools.product(range(4), ("left", "right")):
        labels = {"side": side, "size": str(number)}
        wrong = {"value": "no number"}
        for new in (job_of("echo", labels=labels), job_of("number", params=wrong, labels=labels)):
            submitted.append(await ended(engine, await accepted(engine, new)))
    for name, delay in (("a", None), ("b", 60), ("c", None)):
        submitted.append(await accepted(engine, job_of("hold", name, delay=delay)))
    for name in "ac":
        await puppets.begun(name)
    return [await engine.get(job.id) for job in reversed(submitted)]


def fits(job: Job, query: JobQuery) -> bool:
    """What the filters mean, without any index."""
    return (
        job.status in (query.statuses or Status)
        and job.task in (query.tasks or (job.task,))
        and set(query.labels) <= set(job.labels.items())
    )


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_every_combination(engine: Engine, jobs: list[Job], limit: int) -> None:
    """Pages by any filters have each job that fits once, newest first."""
    for statuses, tasks, labels in itertools.product(STATUSES, TASKS, LABELS):
        query = JobQuery(statuses=statuses, tasks=tasks, labels=labels, limit=limit)
        found = [job.id for job in await all_of(engine, query)]
        assert found == [job.id for job in jobs if fits(job, query)], query


async def all_of(engine: Engine, query: JobQuery) -> list[Job]:
    """The jobs of all pages."""
    jobs: list[Job] = []
    page = await engine.list(query)
    jobs += page.items
    while page.next is not None:
        page = await engine.list(
            JobQuery(
                statuses=query.statuses,
                tasks=query.tasks,
                labels=query.labels,
                created_after=query.created_after,
                created_before=query.created_before,
                limit=query.limit,
                before=page.next,
            )
        )
        assert len(page.items) <= query.limit
        jobs += page.items
    return jobs


async def test_times(engine: Engine, jobs: list[Job]) -> None:
    """`created_after` is the earliest time, `created_before` is after the latest."""
    middle = jobs[len(jobs) // 2].created_at
    for task in ((), ("echo",)):
        after = await all_of(engine, JobQuery(created_after=middle, tasks=task))
        before = await all_of(engine, JobQuery(created_before=middle, tasks=task))
        wanted = [job for job in jobs if job.task in (task or (job.task,))]
        assert [job.id for job in after] == [j.id for j in wanted if j.created_at >= middle]
        assert [job.id for job in before] == [j.id for j in wanted if j.created_at < middle]


async def test_times_far_away(engine: Engine, jobs: list[Job]) -> None:
    """No time is too far for a filter."""
    far = 400_000_000_000_000
    assert await all_of(engine, JobQuery(created_after=far)) == []
    assert len(await all_of(engine, JobQuery(created_before=far, created_after=-far))) == len(jobs)
