"""What is accepted, and what a key does. What stands here is promised by every engine."""

import asyncio
from collections.abc import Callable

import pytest

from app.jobs.engine import Engine
from app.jobs.errors import InvalidParams, KeyReused, QueueFull, ShuttingDown, UnknownTask
from app.jobs.ids import created_at
from app.jobs.models import JobQuery, NewJob
from app.scheduler import Status
from tests.engines.harness import accepted, ended
from tests.engines.puppets import Puppets, job_of


async def test_what_was_sent(engine: Engine, puppets: Puppets) -> None:
    """A job shows what its submission said."""
    new = job_of(
        *("hold", "a"),
        priority=7,
        timeout=30,
        labels={"order": "42", "who": "ä"},
        owner="ann",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    job = await engine.get((await accepted(engine, new)).id)
    assert (job.task, job.params, job.priority, job.timeout) == ("hold", new.params, 7, 30.0)
    assert (job.labels, job.owner, job.traceparent) == (new.labels, "ann", new.traceparent)


async def test_answer_is_what_is_stored(engine: Engine, puppets: Puppets) -> None:
    """What a submission answers is the job as the store has it."""
    job = await accepted(engine, job_of("hold", "a", delay=60, labels={"a": "b"}))
    assert await engine.get(job.id) == job


async def test_unknown_task(engine: Engine) -> None:
    """A task that is not there is refused, and nothing is kept."""
    with pytest.raises(UnknownTask) as caught:
        await engine.submit(job_of("hodl", "a"))
    assert "hold" in caught.value.close
    assert not (await engine.list(JobQuery())).items


async def test_bad_params(engine: Engine) -> None:
    """Params that do not fit the task are refused with a pointer to each, and nothing is kept."""
    with pytest.raises(InvalidParams) as caught:
        await engine.submit(job_of("hold", params={"nmae": "a"}))
    assert {error.pointer for error in caught.value.errors} == {"/params/name", "/params/nmae"}
    assert not (await engine.list(JobQuery())).items


async def test_ids_are_in_order(engine: Engine) -> None:
    """Ids are UUIDv7s which only grow, and carry the time of the submission."""
    jobs = [await accepted(engine, job_of("echo")) for _ in range(5)]
    assert [job.id for job in jobs] == sorted(job.id for job in jobs)
    assert {job.id.version for job in jobs} == {7}
    assert all(created_at(job.id) == job.created_at for job in jobs)


async def test_same_key(engine: Engine, puppets: Puppets) -> None:
    """A key that comes again finds its job, whatever its status is by then."""
    new = job_of("hold", "a", idempotency_key="k", fingerprint=b"f")
    job = await accepted(engine, new)
    await puppets.begun("a")
    replay = await engine.submit(new)
    assert (replay.replayed, replay.job.id, replay.job.status) == (True, job.id, Status.RUNNING)
    puppets.end("a")
    await ended(engine, job)
    replay = await engine.submit(new)
    assert (replay.replayed, replay.job.status) == (True, Status.COMPLETED)
    assert puppets.started == ["a"]


async def test_key_of_another_body(engine: Engine) -> None:
    """A key that comes again with another body is refused, with its job."""
    job = await accepted(engine, job_of("echo", idempotency_key="k", fingerprint=b"f"))
    with pytest.raises(KeyReused) as caught:
        await engine.submit(job_of("echo", idempotency_key="k", fingerprint=b"g"))
    assert caught.value.job_id == job.id


async def test_key_of_another_owner(engine: Engine) -> None:
    """Keys are their owner's: two owners may use the same one."""
    jobs = [
        await accepted(engine, job_of("echo", idempotency_key="k", fingerprint=b"f", owner=owner))
        for owner in ("ann", "bob", None)
    ]
    assert len({job.id for job in jobs}) == 3


async def test_key_comes_first(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A known key is answered before task, params, room and draining are looked at."""
    new = job_of("hold", "a", idempotency_key="k", fingerprint=b"f")
    async with open_engine(max_running=1, max_pending=0) as engine:
        job = await accepted(engine, new)
        gone = NewJob(task="gone", params=b"[]", idempotency_key="k", fingerprint=b"f")
        assert (await engine.submit(gone)).job.id == job.id
        engine.drain()
        assert (await engine.submit(new)).job.id == job.id


async def test_racing_keys(engine: Engine) -> None:
    """A thousand submissions of one key at the same time make one job, which all are shown."""
    new = job_of("echo", idempotency_key="k", fingerprint=b"f")
    answers = await asyncio.gather(*(engine.submit(new) for _ in range(1000)))
    assert len({answer.job.id for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert len((await engine.list(JobQuery())).items) == 1


async def test_racing_keys_need_one_place(open_engine: Callable[..., Engine]) -> None:
    """Submissions of one key at the same time take the room of one, though none is known yet."""
    new = job_of("echo", delay=60, idempotency_key="k", fingerprint=b"f")
    async with open_engine(max_pending=1) as engine:
        answers = await asyncio.gather(*(engine.submit(new) for _ in range(10)))
        assert len({answer.job.id for answer in answers}) == 1


async def test_one_of_racing_keys_gives_up(engine: Engine) -> None:
    """Whenever one caller ceases to wait, the others of its key get the job all the same."""
    for moment in range(0, 60, 3):
        new = job_of("echo", delay=60, idempotency_key=str(moment), fingerprint=b"f")
        callers = [asyncio.create_task(engine.submit(new)) for _ in range(3)]
        for _ in range(moment):
            await asyncio.sleep(0)
        callers[0].cancel()
        one, other = await asyncio.gather(*callers[1:])
        assert one.job.id == other.job.id


async def test_racing_bodies(engine: Engine) -> None:
    """Of different submissions of one key at the same time one is accepted."""
    news = [job_of("echo", idempotency_key="k", fingerprint=b"%d" % n) for n in range(10)]
    answers = await asyncio.gather(*(engine.submit(new) for new in news), return_exceptions=True)
    assert sum(isinstance(answer, KeyReused) for answer in answers) == 9
    assert len((await engine.list(JobQuery())).items) == 1


async def test_queue_full(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """When as many jobs are pending as may be, the next one is refused, until one has started."""
    async with open_engine(max_running=1, max_pending=2) as engine:
        jobs = [await accepted(engine, job_of("hold", name)) for name in ("a", "b")]
        jobs.append(await accepted(engine, job_of("hold", "c", delay=60)))
        with pytest.raises(QueueFull) as caught:
            await engine.submit(job_of("hold", "d"))
        assert (caught.value.depth, caught.value.limit) == (2, 2)
        puppets.end("a")
        await puppets.begun("b")
        await accepted(engine, job_of("hold", "e"))


async def test_racing_for_room(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """Submissions at the same time do not get past the limit of pending jobs."""
    async with open_engine(max_running=1, max_pending=3) as engine:
        news = [job_of("hold", str(number)) for number in range(10)]
        answers = await asyncio.gather(*map(engine.submit, news), return_exceptions=True)
        assert sum(isinstance(answer, QueueFull) for answer in answers) == 6
        await puppets.begun("0")
        assert (engine.health().running, engine.health().pending) == (1, 3)


async def test_draining(engine: Engine, puppets: Puppets) -> None:
    """While it drains, an engine takes no submission, says so, and shows what it has."""
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    assert engine.health().ready
    engine.drain()
    with pytest.raises(ShuttingDown):
        await engine.submit(job_of("echo"))
    health = engine.health()
    assert (health.ready, health.reason) == (False, "shutting down")
    assert (await engine.get(job.id)).status is Status.RUNNING
    puppets.end("a")


async def test_caller_gives_up(engine: Engine) -> None:
    """A submission whose caller does not wait for the answer may be made, and ends then."""
    new = job_of("echo", idempotency_key="k", fingerprint=b"f")
    caller = asyncio.create_task(engine.submit(new))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait((caller,))
    assert caller.cancelled()
    again = await engine.submit(new)
    assert (await ended(engine, again.job)).status is Status.COMPLETED
    assert len((await engine.list(JobQuery())).items) == 1
