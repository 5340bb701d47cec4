"""What is to be told of a job's end. What stands here is promised by every engine."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import pytest

from app.jobs.deliveries import Due, Past, Tried
from app.jobs.engine import Engine
from app.jobs.models import Job, JobQuery, Millis
from app.jobs.webhooks import Delivery, DeliveryStatus, Webhook
from app.scheduler import Status
from tests.engines.clock import WallClock
from tests.engines.harness import LONG, accepted, ended, removed
from tests.engines.puppets import Puppets, job_of

MINUTE: Final = 60_000


def to(receiver: str, *events: Status) -> Webhook:
    """A webhook for these events, or for all."""
    url = f"https://{receiver}/hook"
    return Webhook(url, receiver, events) if events else Webhook(url, receiver)


HOOK: Final = to("a.example")


async def taken(
    engine: Engine, limit: int = 10, busy: Sequence[str] = (), after: str = ""
) -> list[Due]:
    """What is due."""
    return list((await engine.deliveries.take(limit, Past(busy, after)))[0])


async def the_delivery(engine: Engine, job: Job) -> Delivery:
    """The one delivery of a job."""
    [delivery] = (await engine.get(job.id)).deliveries
    return delivery


async def test_each_end_is_told(engine: Engine, puppets: Puppets) -> None:
    """A job that completes, fails, or is cancelled while it runs or waits is told of as such."""
    jobs = {name: await accepted(engine, job_of("hold", name, webhook=HOOK)) for name in "abcd"}
    for name in jobs:
        await puppets.begun(name)
    puppets.end("a", 1)
    puppets.fail("b", ValueError())
    await engine.cancel(jobs["c"].id)
    wanted = {"a": Status.COMPLETED, "b": Status.FAILED, "c": Status.CANCELLED}
    for name, status in wanted.items():
        assert (await ended(engine, jobs[name])).status is status
        assert (await the_delivery(engine, jobs[name])).event is status
    later = await accepted(engine, job_of("echo", delay=3600, webhook=HOOK))
    await engine.cancel(later.id)
    assert (await the_delivery(engine, later)).event is Status.CANCELLED
    assert (await engine.get(jobs["d"].id)).deliveries == ()


async def test_not_started_in_time(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A job that did not start in time is told to have failed."""
    async with open_engine(max_running=1) as engine:
        await accepted(engine, job_of("hold", "a"))
        await puppets.begun("a")
        late = await accepted(engine, job_of("echo", start_within=0.01, webhook=HOOK))
        assert (await ended(engine, late)).status is Status.FAILED
        assert (await the_delivery(engine, late)).event is Status.FAILED


async def test_task_that_is_gone(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A job whose task does not come back is told to have failed."""
    async with open_engine(max_running=1) as engine:
        await accepted(engine, job_of("hold", "a"))
        await puppets.begun("a")
        gone = await accepted(engine, job_of("echo", webhook=HOOK))
        engine.drain()
    async with open_engine(without=("echo",), unknown_task_after=0.0) as engine:
        assert (await ended(engine, gone)).status is Status.FAILED
        assert (await the_delivery(engine, gone)).event is Status.FAILED


async def test_a_crash_is_told(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A job that a stop cut off is told to have failed; one with attempts left is not told of."""
    async with open_engine() as engine:
        once = await accepted(engine, job_of("hold", "a", webhook=HOOK))
        again = await accepted(engine, job_of("persistent", "b", webhook=HOOK))
        for name in "ab":
            await puppets.begun(name)
    async with open_engine() as engine:
        assert (await the_delivery(engine, once)).event is Status.FAILED
        await puppets.begun("b", attempt=2)
        assert (await engine.get(again.id)).deliveries == ()
        assert [due.job.id for due in await taken(engine)] == [once.id]
        puppets.end("b", attempt=2)
        await ended(engine, again)
        assert [due.job.id for due in await taken(engine)] == [again.id]


async def test_the_crash_rule_is_told(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A cancelled job that outlasts every grace ends when its engine comes back: that is told."""
    async with open_engine(cancel_grace=0.01) as engine:
        job = await accepted(engine, job_of("deaf", "a", webhook=to("a.example", Status.CANCELLED)))
        await puppets.begun("a")
        await engine.cancel(job.id)
    puppets.end("a")
    async with open_engine() as engine:
        assert (await ended(engine, job)).status is Status.CANCELLED
        assert (await the_delivery(engine, job)).event is Status.CANCELLED


async def test_only_what_was_asked_for(engine: Engine) -> None:
    """An end that the webhook is not for is not told, nor is that of a job without a webhook."""
    failed = await accepted(engine, job_of("echo", webhook=to("a.example", Status.FAILED)))
    plain = await accepted(engine, job_of("echo"))
    for job in (failed, plain):
        assert (await ended(engine, job)).deliveries == ()
    assert await engine.deliveries.take(10, Past()) == ([], None)


async def test_the_webhook_is_kept(engine: Engine, puppets: Puppets) -> None:
    """A job has its webhook as it was submitted, before its end and after; lists leave it alone."""
    hook = Webhook("https://a.example/x?token=1", "a.example", (Status.FAILED, Status.COMPLETED))
    job = await accepted(engine, job_of("hold", "a", webhook=hook))
    await puppets.begun("a")
    assert (await engine.get(job.id)).webhook == job.webhook == hook
    puppets.end("a")
    assert (await ended(engine, job)).webhook == hook
    [listed] = (await engine.list(JobQuery())).items
    assert listed.deliveries == ()
    assert "token" not in repr(job)


async def test_news(engine: Engine) -> None:
    """Who delivers is woken by the end of a job with a webhook."""
    engine.deliveries.news.clear()
    job = await accepted(engine, job_of("echo", webhook=HOOK))
    async with asyncio.timeout(LONG):
        await engine.deliveries.news.wait()
    assert [due.job.id for due in await taken(engine)] == [job.id]


async def test_what_is_given(engine: Engine) -> None:
    """What is due comes with its job, the webhook, and how often it was tried."""
    job = await accepted(engine, job_of("echo", labels={"a": "b"}, webhook=HOOK))
    job = await ended(engine, job)
    [due] = await taken(engine)
    assert (due.webhook, due.attempts) == (HOOK, 0)
    assert (due.job.id, due.job.status, due.job.labels) == (job.id, job.status, {"a": "b"})
    assert (due.job.finished_at, due.job.attempt) == (job.finished_at, 1)


async def test_held(engine: Engine) -> None:
    """What was taken is not given again, until its attempt is recorded and the next one due."""
    job = await accepted(engine, job_of("echo", webhook=HOOK))
    job = await ended(engine, job)
    [due] = await taken(engine)
    assert await taken(engine) == []
    assert job.finished_at is not None
    await engine.deliveries.record(due, Tried(next_at=job.finished_at, status=500))
    [again] = await taken(engine)
    assert again.attempts == 1


async def test_what_is_recorded(engine: Engine) -> None:
    """The job shows how its delivery is going, to its end; the job itself does not change."""
    job = await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
    assert await the_delivery(engine, job) == Delivery(Status.COMPLETED, 0, job.finished_at)
    [due] = await taken(engine)
    await engine.deliveries.record(due, Tried(next_at=5, error="no connection"))
    seen = await the_delivery(engine, job)
    assert seen == Delivery(Status.COMPLETED, 1, 5, last_error="no connection")
    assert seen.status is DeliveryStatus.PENDING
    [due] = await taken(engine)
    await engine.deliveries.record(due, Tried(delivered_at=9, status=204))
    seen = await the_delivery(engine, job)
    assert seen == Delivery(Status.COMPLETED, 2, None, 9, 204)
    assert seen.status is DeliveryStatus.DELIVERED
    assert await engine.deliveries.take(10, Past()) == ([], None)
    assert (await engine.get(job.id)).version == job.version


async def test_given_up(engine: Engine) -> None:
    """A delivery without a success and a next attempt has failed, and is not given again."""
    job = await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
    [due] = await taken(engine)
    await engine.deliveries.record(due, Tried(status=410))
    assert (await the_delivery(engine, job)).status is DeliveryStatus.FAILED
    assert await engine.deliveries.take(10, Past()) == ([], None)


async def test_recorded_once(engine: Engine) -> None:
    """An attempt that comes late to be recorded, after another one, changes nothing."""
    job = await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
    [due] = await taken(engine)
    await engine.deliveries.record(due, Tried(delivered_at=9, status=200))
    await engine.deliveries.record(due, Tried(next_at=5, status=500))
    assert await the_delivery(engine, job) == Delivery(Status.COMPLETED, 1, None, 9, 200)


async def test_one_of_each_receiver(engine: Engine) -> None:
    """However much one receiver is owed, each gets its turn, the earliest first; busy ones none."""
    hooks = [to("a.example")] * 5 + [to("b.example"), to("c.example:8080")]
    jobs = [await ended(engine, await accepted(engine, job_of("echo", webhook=h))) for h in hooks]
    found = await taken(engine, busy=["b.example"])
    assert {due.job.id for due in found} == {jobs[0].id, jobs[6].id}
    assert [due.job.id for due in await taken(engine, busy=["b.example"])] == [jobs[1].id]
    assert len(await taken(engine, 1)) == 1
    rest = [*await taken(engine), *await taken(engine), *await taken(engine)]
    assert len(rest) == 3
    assert await taken(engine) == []


async def test_turns(engine: Engine) -> None:
    """Receivers come in the order of their names: after one, those that follow, never it again."""
    names = ("A.example", "b-c.example", "b.example", "z.example:8080")
    for name in reversed(names):
        for _ in range(2):
            await ended(engine, await accepted(engine, job_of("echo", webhook=to(name))))
    last, given = "", []
    for _ in names:
        [due] = await taken(engine, 1, after=last)
        given.append(last := due.webhook.receiver)
    assert given == list(names)
    assert await taken(engine, after=last) == []
    assert [due.webhook.receiver for due in await taken(engine, after=names[1])] == list(names[2:])


async def test_not_before_its_time(open_engine: Callable[..., Engine]) -> None:
    """What is due later by the engine's clock is not given, but said to come; then it is given."""
    clock = WallClock()
    async with open_engine(now=clock, housekeeping_every=60.0) as engine:
        job = await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
        [due] = await taken(engine)
        assert job.finished_at is not None
        await engine.deliveries.record(due, Tried(next_at=job.finished_at + MINUTE))
        found, pause = await engine.deliveries.take(10, Past())
        assert not found
        assert pause is not None
        assert 0 < pause <= 60
        clock.set_by(pause)
        assert len(await taken(engine)) == 1


async def test_over_a_restart(open_engine: Callable[..., Engine]) -> None:
    """What was not delivered, or was being tried, is given after the next start."""
    async with open_engine() as engine:
        hooks = [to("a.example"), to("b.example")]
        jobs = [
            await ended(engine, await accepted(engine, job_of("echo", webhook=h))) for h in hooks
        ]
        [due] = await taken(engine, busy=["b.example"])
        assert due.job.id == jobs[0].id
    async with open_engine() as engine:
        assert {due.job.id for due in await taken(engine)} == {job.id for job in jobs}


async def test_goes_with_its_job(open_engine: Callable[..., Engine]) -> None:
    """Of a delivery nothing is left when its job is removed; a late record brings nothing back."""
    async with open_engine() as engine:
        job = await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
        [due] = await taken(engine)
        assert job.finished_at is not None
        await engine.deliveries.record(due, Tried(next_at=job.finished_at + 60 * MINUTE))
        assert (await engine.deliveries.take(10, Past()))[1] is not None
    async with open_engine(retention=0.0) as engine:
        await removed(engine, job)
        assert await engine.deliveries.take(10, Past()) == ([], None)
        await engine.deliveries.record(due, Tried(next_at=1))
        assert await engine.deliveries.take(10, Past()) == ([], None)


async def counted(engine: Engine, pending: int, oldest: Millis | None, lost: int) -> None:
    """Return when the figures are these: they may be some moments old."""
    async with asyncio.timeout(LONG):
        while True:
            figures = await engine.deliveries.figures()
            if (figures.pending, figures.oldest, figures.lost) == (pending, oldest, lost):
                return
            await asyncio.sleep(0.001)


async def test_figures(open_engine: Callable[..., Engine]) -> None:
    """What is pending is counted, from its job's end until it is over, held or put off or not."""
    async with open_engine() as engine:
        await counted(engine, 0, None, 0)
        hooks = [to(f"{name}.example") for name in "abc"]
        jobs = [
            await ended(engine, await accepted(engine, job_of("echo", webhook=h))) for h in hooks
        ]
        await ended(engine, await accepted(engine, job_of("echo")))
        ends = [job.finished_at or 0 for job in jobs]
        await counted(engine, 3, ends[0], 0)
        first, second, third = await taken(engine)
        await counted(engine, 3, ends[0], 0)
        await engine.deliveries.record(third, Tried(next_at=1 << 50, status=500))
        await counted(engine, 3, ends[0], 0)
        await engine.deliveries.record(first, Tried(delivered_at=9, status=200))
        await counted(engine, 2, ends[1], 0)
        await engine.deliveries.record(second, Tried(status=410))
        await counted(engine, 1, ends[2], 0)
    async with open_engine() as engine:
        await counted(engine, 1, ends[2], 0)


async def test_what_is_lost(
    open_engine: Callable[..., Engine], caplog: pytest.LogCaptureFixture
) -> None:
    """What goes with its job before it was delivered is counted, and the log says how many."""
    async with open_engine() as engine:
        for _ in range(4):
            job = await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
        [due] = await taken(engine)
        await engine.deliveries.record(due, Tried(delivered_at=9, status=200))
        [due] = await taken(engine)
        await engine.deliveries.record(due, Tried(next_at=1 << 50, status=500))

    def warned() -> int:
        lines = [line for line in caplog.messages if "before they were delivered: " in line]
        return sum(int(line.rpartition(" ")[2]) for line in lines)

    async with open_engine(retention=0.0) as engine, asyncio.timeout(LONG):
        await removed(engine, job)
        await counted(engine, 0, None, 3)
        while warned() < 3:  # noqa: ASYNC110  no event says
            await asyncio.sleep(0.001)
    assert warned() == 3
    async with open_engine() as engine:
        await counted(engine, 0, None, 3)


async def test_redelivered(open_engine: Callable[..., Engine]) -> None:
    """What was told, or put off, is due once more; its age begins when it is pending again."""
    async with open_engine() as engine:
        job = await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
        [due] = await taken(engine)
        await engine.deliveries.record(due, Tried(delivered_at=9, status=200))
        engine.deliveries.news.clear()
        assert await engine.deliveries.redeliver(job.id)
        async with asyncio.timeout(LONG):
            await engine.deliveries.news.wait()
        seen = await the_delivery(engine, job)
        assert (seen.status, seen.attempts, seen.delivered_at) == (DeliveryStatus.PENDING, 1, None)
        assert seen.next_at is not None
        await counted(engine, 1, seen.next_at, 0)
        [due] = await taken(engine)
        assert due.attempts == 1
        await engine.deliveries.record(due, Tried(next_at=1 << 50, status=500))
        assert await engine.deliveries.redeliver(job.id)
        await counted(engine, 1, seen.next_at, 0)
        assert [due.attempts for due in await taken(engine)] == [2]
    async with open_engine() as engine:
        assert [due.attempts for due in await taken(engine)] == [2]


async def test_redelivered_while_it_is_held(engine: Engine) -> None:
    """An attempt that is being made is the one: nobody begins another beside it."""
    job = await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
    [due] = await taken(engine)
    assert await engine.deliveries.redeliver(job.id)
    assert await taken(engine) == []
    await engine.deliveries.record(due, Tried(delivered_at=9, status=200))
    assert (await the_delivery(engine, job)).status is DeliveryStatus.DELIVERED
    assert await taken(engine) == []


async def test_nothing_to_redeliver(engine: Engine) -> None:
    """A job that has not ended, or whose end is told to nobody, is not told again."""
    other = to("a.example", Status.FAILED)
    jobs = [
        await accepted(engine, job_of("echo", delay=3600, webhook=HOOK)),
        await ended(engine, await accepted(engine, job_of("echo", webhook=other))),
        await ended(engine, await accepted(engine, job_of("echo"))),
    ]
    assert [await engine.deliveries.redeliver(job.id) for job in jobs] == [False] * 3
    assert await engine.deliveries.take(10, Past()) == ([], None)
