"""What becomes of secret params. What stands here is promised by every engine."""

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
from msgspec.structs import asdict, replace

from app.jobs.engine import Engine
from app.jobs.errors import InvalidParams
from app.jobs.events import Watch
from app.jobs.models import JobQuery, NewJob
from app.jobs.secrets import MASK
from app.jobs.texts import to_json
from app.scheduler import Status
from tests.engines.harness import accepted, ended
from tests.engines.puppets import Puppets, job_of

SECRET = "canary-51c2"


def guarded(name: str, **options: Any) -> NewJob:
    """A submission with two secrets."""
    params = {"name": name, "password": SECRET, "pin": "1234"}
    return job_of("guarded", params=params, **options)


def shown(name: str) -> bytes:
    """Its params as anybody sees them."""
    return to_json({"name": name, "password": MASK, "pin": MASK})


async def test_only_the_coroutine_is_told(engine: Engine, puppets: Puppets) -> None:
    """The coroutine gets what was submitted; every answer about the job has asterisks there."""
    job = await accepted(engine, guarded("a"))
    await puppets.begun("a")
    assert puppets.told == [SECRET + "1234"]
    jobs = [job, await engine.get(job.id), *(await engine.list(JobQuery())).items]
    jobs += [(await engine.inspect(job.id)).job]
    puppets.end("a", "done")
    jobs += [await ended(engine, job), await engine.cancel(job.id)]
    async with aclosing(engine.watch(Watch(job_id=job.id))) as events:
        jobs += [event.job async for event in events if event.job is not None]
    assert len(jobs) == 7
    assert SECRET not in str([asdict(each) for each in jobs])
    assert jobs[0].params == jobs[-2].params == shown("a")


async def test_the_key_shows_no_more(engine: Engine) -> None:
    """A repeated submission finds the job as anybody sees it."""
    new = guarded("a", idempotency_key="k", fingerprint=b"f", delay=3600)
    await accepted(engine, new)
    again = await engine.submit(new)
    assert again.replayed
    assert SECRET not in str(asdict(again.job))


async def test_each_attempt_is_told(engine: Engine, puppets: Puppets) -> None:
    """The secrets are kept for further attempts."""
    job = await accepted(engine, guarded("a"))
    puppets.fail("a", ValueError("once"))
    puppets.end("a", attempt=2)
    assert (await ended(engine, job)).status is Status.COMPLETED
    assert puppets.told == [SECRET + "1234"] * 2


async def test_secrets_outlive_a_stop(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """Jobs that wait, and those that were interrupted, get their secrets after the next start."""
    async with open_engine() as engine:
        running = await accepted(engine, guarded("running"))
        waiting = await accepted(engine, guarded("waiting", delay=0.01))
        await puppets.begun("running")
        engine.drain()
    puppets.end("running", attempt=2)
    for attempt in (1, 2):
        puppets.end("waiting", attempt=attempt)
    puppets.told.clear()
    async with open_engine() as engine:
        for job in (running, waiting):
            assert (await ended(engine, job)).status is Status.COMPLETED
    assert set(puppets.told) == {SECRET + "1234"}


async def test_a_copy_takes_them_while_they_are_there(engine: Engine, puppets: Puppets) -> None:
    """A copy of a job that has not ended runs with the same secrets, which it hides as well."""
    source = await accepted(engine, guarded("a", owner="anna"))
    copy = await accepted(engine, NewJob(copy_of=source.id, owner="anna"))
    assert copy.params == shown("a")
    puppets.end("a")
    for job in (source, copy):
        assert (await ended(engine, job)).status is Status.COMPLETED
    assert puppets.told == [SECRET + "1234"] * 2


async def test_a_copy_of_an_ended_job_asks_for_them(engine: Engine, puppets: Puppets) -> None:
    """When the job has ended they are gone: the copy is refused with what has to be sent again."""
    puppets.end("a")
    source = await ended(engine, await accepted(engine, guarded("a")))
    await refused(engine, NewJob(copy_of=source.id))
    params = to_json({"name": "a", "password": "another"})
    await ended(engine, await accepted(engine, NewJob(copy_of=source.id, params=params)))
    assert puppets.told == [SECRET + "1234", "another"]


@pytest.mark.parametrize(
    "change", [{"task": "echo"}, {"owner": "bob"}, {"owner": None}], ids=["task", "bob", "nobody"]
)
async def test_a_copy_tells_nobody_else(engine: Engine, change: dict[str, Any]) -> None:
    """No other task and no other owner gets the secrets of a job by copying it."""
    source = await accepted(engine, guarded("a", owner="anna", delay=3600))
    await refused(engine, replace(NewJob(copy_of=source.id, owner="anna"), **change))


async def refused(engine: Engine, new: NewJob) -> None:
    """The submission, and its check, are refused for the secrets that are not there."""
    for ask in (engine.submit, engine.check):
        with pytest.raises(InvalidParams) as error:
            await ask(new)
        found = [(e.pointer, e.code) for e in error.value.errors]
        assert found == [("/params/password", "secret_gone"), ("/params/pin", "secret_gone")]
        assert SECRET not in str(error.value)


async def test_a_copy_without_secrets_may_have_asterisks(engine: Engine) -> None:
    """What somebody sent as asterisks cannot be told from a gap in an ended job, and is asked for.

    A submission of its own may have them anywhere.
    """
    job = await ended(engine, await accepted(engine, job_of("echo", params={"value": MASK})))
    assert job.result == to_json(MASK)
    with pytest.raises(InvalidParams):
        await engine.submit(NewJob(copy_of=job.id))
