"""Looking into jobs, and figures. What stands here is promised by every engine."""

import asyncio
import time
from collections.abc import Callable

import pytest

from app.jobs.engine import Engine
from app.jobs.errors import InvalidParams, JobNotFound, UnknownTask
from app.jobs.ids import first_at
from app.jobs.models import JobQuery
from app.jobs.observer import Observer
from app.scheduler import Status
from tests.engines.harness import LONG, accepted, ended, removed
from tests.engines.puppets import Puppets, job_of


async def slots_free(engine: Engine) -> None:
    """Return when no slot is taken: a moment after an end can be seen, it has been counted."""
    async with asyncio.timeout(LONG):
        while engine.health().running:  # noqa: ASYNC110  no event says
            await asyncio.sleep(0.001)


async def test_where_it_awaits(engine: Engine, puppets: Puppets) -> None:
    """The chain of awaits of a running job goes through every function, outermost first."""
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    seen = await engine.inspect(job.id)
    assert seen.frames is not None
    assert [frame.function for frame in seen.frames] == ["Puppets.hold", "Puppets._act"]
    assert seen.frames[0].file.endswith("tests/engines/puppets.py")
    puppets.end("a")
    await ended(engine, job)
    assert (await engine.inspect(job.id)).frames is None


async def test_where_a_pending_job_awaits(engine: Engine) -> None:
    """A job that does not run awaits nowhere."""
    job = await accepted(engine, job_of("echo", delay=60))
    assert (await engine.inspect(job.id)).frames is None


async def test_lines_are_kept(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """Log lines can be read while the job runs, after its end, and after a restart."""
    async with open_engine() as engine:
        job = await accepted(engine, job_of("talk", "a"))
        await puppets.begun("a")
        running = (await engine.inspect(job.id)).lines
        assert [(line.attempt, line.message) for line in running] == [(1, "a line")]
        puppets.end("a")
        await ended(engine, job)
        assert (await engine.inspect(job.id)).lines == running
    async with open_engine() as engine:
        assert (await engine.inspect(job.id)).lines == running


async def test_lines_of_all_attempts(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A later attempt goes on where the lines of those before it end, over a restart too."""
    async with open_engine() as engine, asyncio.timeout(LONG):
        job = await accepted(engine, job_of("talk_again", "a"))
        await puppets.begun("a")
        engine.drain()  # the second attempt is for the next engine to begin
        puppets.fail("a", ValueError("once"))
        while (await engine.get(job.id)).status is not Status.PENDING:  # noqa: ASYNC110  none waits
            await asyncio.sleep(0.001)
    puppets.end("a", attempt=2)
    async with open_engine() as engine:
        await ended(engine, job)
        lines = (await engine.inspect(job.id)).lines
    assert [(line.number, line.attempt) for line in lines] == [(1, 1), (2, 2)]


async def test_inspect_unknown(engine: Engine) -> None:
    """There is nothing to see of a job that is not there."""
    with pytest.raises(JobNotFound):
        await engine.inspect(first_at(1))


async def test_copy(engine: Engine) -> None:
    """A copy has its original's task and params, and nothing else of it."""
    original = await accepted(engine, job_of("echo", params={"value": 1}, labels={"a": "b"}))
    copy = await ended(engine, await accepted(engine, job_of("", params=None, copy_of=original.id)))
    assert (copy.task, copy.params, copy.result) == ("echo", original.params, b"1")
    assert copy.labels == {}


async def test_copy_with_a_difference(engine: Engine) -> None:
    """What is given goes before what is copied."""
    original = await accepted(engine, job_of("echo", params={"value": 1}))
    other = job_of("number", params=None, copy_of=original.id)
    assert (await accepted(engine, other)).task == "number"
    other = job_of("", params={"value": 2}, copy_of=original.id)
    assert (await ended(engine, await accepted(engine, other))).result == b"2"


async def test_copy_of_nothing(engine: Engine) -> None:
    """What is not there cannot be copied, and what is no copy needs a task."""
    with pytest.raises(JobNotFound):
        await engine.submit(job_of("", copy_of=first_at(1)))
    with pytest.raises(InvalidParams, match="/task"):
        await engine.submit(job_of(""))


async def test_check(engine: Engine) -> None:
    """A check finds what a submission would, and creates nothing."""
    await engine.check(job_of("echo"))
    with pytest.raises(UnknownTask):
        await engine.check(job_of("unheard"))
    with pytest.raises(InvalidParams):
        await engine.check(job_of("echo", params={"other": 1}))
    assert (await engine.list(JobQuery())).items == []


async def test_counts(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """Jobs are counted by task and status, over a restart too."""
    async with open_engine() as engine:
        await ended(engine, await accepted(engine, job_of("echo")))
        await ended(engine, await accepted(engine, job_of("number", params={"value": "no"})))
        await slots_free(engine)
        cancelled = await accepted(engine, job_of("echo", delay=60))
        await engine.cancel(cancelled.id)
        pending = await accepted(engine, job_of("echo", delay=60))
        await accepted(engine, job_of("hold", "a"))
        await puppets.begun("a")
        figures = await engine.figures()
        assert figures.jobs == dict.fromkeys(Status, 1)
        assert figures.slots_taken == 1
        assert figures.oldest_pending == pending.created_at
        assert figures.tasks["echo"].jobs[Status.COMPLETED] == 1
        assert figures.tasks["echo"].durations is not None
        assert figures.tasks["hold"].durations is None
        ends = [period.ended for period in figures.minutes]
        assert sum(sum(ended.values()) for ended in ends) == 3
        puppets.end("a")
        await slots_free(engine)
    async with open_engine() as engine:
        figures = await engine.figures()
        assert figures.jobs[Status.COMPLETED] == 2
        assert figures.tasks["hold"].durations is not None


def seen(observer: Observer) -> dict[tuple[str, Status], int]:
    """The ends that there were, by task and status; the others are known to be none."""
    ends = observer.ends.items()
    return {(task, status): n for task, of in ends for status, n in of.items() if n}


async def test_what_is_observed(engine: Engine) -> None:
    """Ends, waits and durations are counted by task, and the commits that made them durable."""
    jobs = [await ended(engine, await accepted(engine, job_of("echo", delay=d))) for d in (0, 0.3)]
    await ended(engine, await accepted(engine, job_of("number", params={"value": "no"})))
    cancelled = await accepted(engine, job_of("echo", delay=60))
    await engine.cancel(cancelled.id)
    await slots_free(engine)
    figures = await engine.figures()
    assert seen(figures.observer) == {
        ("echo", Status.COMPLETED): 2,
        ("echo", Status.CANCELLED): 1,
        ("number", Status.FAILED): 1,
    }
    assert figures.observer.ends["hold"] == {status: 0 for status in Status if status.finished}
    waits, durations = figures.observer.waits, figures.observer.durations
    assert (sum(waits["echo"].counts), sum(durations["echo"].counts)) == (2, 2)
    assert (sum(waits["number"].counts), sum(durations["number"].counts)) == (1, 1)
    waited = sum((job.started_at or 0) - job.run_at for job in jobs)
    assert waits["echo"].sum == pytest.approx(waited / 1000)
    commits = figures.commits
    assert sum(commits.seconds.counts) == sum(commits.changes.counts) > 0
    assert commits.changes.sum >= 7  # four insertions, a cancel, two ends and maybe starts


async def test_what_was_observed_stays(open_engine: Callable[..., Engine]) -> None:
    """A job that is removed after its retention has ended all the same: no count goes back."""
    async with open_engine(retention=0.01) as engine:
        await removed(engine, await accepted(engine, job_of("echo")))
        observer = (await engine.figures()).observer
    assert seen(observer) == {("echo", Status.COMPLETED): 1}
    assert sum(observer.waits["echo"].counts) == sum(observer.durations["echo"].counts) == 1


async def test_expected_end(engine: Engine) -> None:
    """When a job should end is known from its like."""
    began = time.monotonic()
    job = await accepted(engine, job_of("echo", delay=60))
    assert engine.expected(job) is None
    await ended(engine, await accepted(engine, job_of("echo")))
    await slots_free(engine)
    expected = engine.expected(job)
    assert expected is not None
    assert 59 - (time.monotonic() - began) < expected < 61
