"""Finished jobs that are kept in memory are as the journal has them."""

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.ends import Ended, Finish
from app.engines.embedded.recent import KEPT, Recent
from app.jobs.errors import JobExpired
from app.jobs.models import Attempt, NewJob
from app.jobs.runner import Outcome
from app.scheduler import Status, Step
from tests.engines.clock import WallClock
from tests.engines.embedded.faults import Faults
from tests.engines.harness import accepted, ended, removed
from tests.engines.puppets import Puppets, job_of
from tests.jobs.attempts import JOB

Open = Callable[..., EmbeddedEngine]

_PLAIN = {"labels": {"order": "42"}, "priority": 3, "timeout": 60.0}


@pytest.mark.parametrize(
    "new",
    [
        job_of("echo", **_PLAIN),
        job_of("echo", delay=0.001),
        job_of("echo", idempotency_key="k", fingerprint=b"f", start_within=9.0),
        job_of("echo", traceparent=f"00-{'1' * 32}-{'2' * 16}-01", owner="anna"),
        job_of("talk", "a"),
        job_of("hold", "a"),
    ],
    ids=["labels", "delayed", "keyed", "owned", "talks", "held"],
)
@pytest.mark.parametrize("fails", [False, True])
async def test_as_in_the_journal(
    engine: EmbeddedEngine, puppets: Puppets, new: NewJob, fails: bool
) -> None:
    """A job that has just ended is, to the last member, what another reader finds on the disk."""
    if fails:
        puppets.fail("a", ValueError("no"))
    else:
        puppets.end("a", {"value": [1, None]})
    job = await ended(engine, await accepted(engine, new))
    recent = engine._journal.reader.recent
    assert recent.get(job.id) == job
    recent.clear()
    assert await engine.get(job.id) == job
    assert recent.get(job.id) == job


def test_secrets_are_forgotten() -> None:
    """What is kept of a job that has ended has none of its secrets, though nobody asks for it."""
    job = replace(JOB, attempt=1, attempts=(Attempt(1, 0),), secrets=b'["canary"]')
    outcome = Outcome(step=Step.COMPLETE, returned=b"1")
    recent = Recent(0)
    recent.ended(
        job,
        Finish(Ended(job.id, 1, 5, outcome, has_secrets=True, has_webhook=False), 7),
        Status.COMPLETED,
    )
    kept = recent._jobs[job.id.int]
    assert isinstance(kept, tuple)
    assert kept[0].secrets is None


async def test_no_reading(engine: EmbeddedEngine, faults: Faults) -> None:
    """Who asks for a job that has just ended is answered without a look at the disk."""
    job = await ended(engine, await accepted(engine, job_of("echo")))
    before = len(faults.questions)
    assert await engine.get(job.id) == job
    assert len(faults.questions) == before


async def test_cancelled_and_retried_jobs_are_read(
    engine: EmbeddedEngine, puppets: Puppets
) -> None:
    """What the journal alone knows is read: when a cancel came, and how earlier attempts ended."""
    cancelled = await accepted(engine, job_of("hold", "c"))
    await puppets.begun("c")
    await engine.cancel(cancelled.id)
    cancelled = await ended(engine, cancelled)
    assert cancelled.status is Status.CANCELLED
    assert cancelled.cancel_requested_at is not None
    puppets.fail("r", ValueError("again"))
    puppets.end("r", 1, attempt=2)
    retried = await ended(engine, await accepted(engine, job_of("persistent", "r")))
    assert [attempt.outcome for attempt in retried.attempts] == [Status.FAILED, Status.COMPLETED]


async def test_large_ones_are_not_kept(engine: EmbeddedEngine, puppets: Puppets) -> None:
    """A large result takes no memory after its job has ended."""
    puppets.end("a", "x" * 5_000)
    job = await accepted(engine, job_of("hold", "a"))
    await ended(engine, job)
    assert engine._journal.reader.recent.get(job.id) is None


async def test_as_many_as_may_be(engine: EmbeddedEngine) -> None:
    """No more than so many are kept, the last ones."""
    recent = engine._journal.reader.recent
    first = await ended(engine, await accepted(engine, job_of("echo")))
    others = (accepted(engine, job_of("echo")) for _ in range(KEPT))
    for last in await asyncio.gather(*others):
        await ended(engine, last)
    assert recent.get(first.id) is None
    assert recent.get(last.id) is not None


async def test_gone_with_its_retention(open_embedded: Open, clock: WallClock) -> None:
    """A job that has been removed is expired, whether it was kept in memory or not."""
    async with open_embedded(retention=100.0, housekeeping_every=0.01) as engine:
        job = await ended(engine, await accepted(engine, job_of("echo")))
        clock.set_by(101)
        await removed(engine, job)
        with pytest.raises(JobExpired):
            await engine.get(job.id)
