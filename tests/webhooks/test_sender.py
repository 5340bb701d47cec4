"""How webhooks are sent, to a real receiver."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from app.jobs.deliveries import Attempts, DeliveryFigures, Due, Past, Tried
from app.jobs.engine import Engine
from app.jobs.ids import JobIds
from app.jobs.message import MAX_BODY, message_of
from app.jobs.models import Job
from app.jobs.webhooks import Delivery, DeliveryStatus, Webhook
from app.outbound import OutboundPolicy
from app.scheduler import Status
from app.signing import Signer
from app.webhooks import (
    AT_ONCE,
    EVERY,
    LONGEST,
    OF_RECEIVER,
    SCHEDULE,
    Sender,
)
from tests.engines.harness import LONG, accepted, ended
from tests.engines.puppets import job_of
from tests.support.receiver import SECRET, Answer, Message, Receiver
from tests.support.virtual import run_virtual
from tests.webhooks.conftest import LOOPBACK

Sending: TypeAlias = Callable[..., AbstractAsyncContextManager[Engine]]

SOON = [0.001] * 5
"""A schedule of quick retries."""

ENDED = Job(
    id=JobIds(lambda: 1).next(),
    task="echo",
    status=Status.COMPLETED,
    version=1,
    params=b"{}",
    run_at=0,
    finished_at=1,
)


async def told(engine: Engine, url: str, task: str = "echo", **options: Any) -> Job:
    """A job that has ended, with a webhook to this URL."""
    receiver = url.split("/")[2]
    job = await accepted(engine, job_of(task, webhook=Webhook(url, receiver), **options))
    return await ended(engine, job)


async def came(receiver: Receiver) -> Message:
    """The next message."""
    return await asyncio.to_thread(receiver.message)


async def over(engine: Engine, job: Job, attempts: int | None = None) -> Delivery:
    """The delivery of a job once it is over, or so many attempts have been made."""
    async with asyncio.timeout(LONG):
        while True:
            [delivery] = (await engine.get(job.id)).deliveries
            is_over = delivery.status is not DeliveryStatus.PENDING
            if is_over or (attempts is not None and delivery.attempts >= attempts):
                return delivery
            await asyncio.sleep(0.002)


async def test_a_message(sending: Sending, receiver: Receiver) -> None:
    """It is signed, small, and says which job ended and how, and nothing of what it returned."""
    async with sending() as engine:
        job = await told(engine, receiver.url, params={"value": "canary"}, labels={"order": "42"})
        message = await came(receiver)
        delivery = await over(engine, job)
    assert message.verified() == {
        "type": "job.completed",
        "timestamp": datetime.fromtimestamp((job.finished_at or 0) / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "data": {
            "id": str(job.id),
            "task": "echo",
            "status": "completed",
            "attempt": 1,
            "error": None,
            "labels": {"order": "42"},
            "links": {"self": f"/jobs/{job.id}", "result": f"/jobs/{job.id}/result"},
        },
    }
    assert b"canary" not in message.body
    assert message.path == "/hook"
    assert message.headers["content-type"] == "application/json"
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.DELIVERED, 1)
    assert (delivery.last_status, delivery.next_at) == (204, None)


async def test_a_failure_is_told_without_its_text(sending: Sending, receiver: Receiver) -> None:
    """Of an error only its type is told."""
    async with sending() as engine:
        job = await told(engine, receiver.url, "number", params={"value": "canary"})
        message = await came(receiver)
    assert job.error is not None
    assert message.verified()["type"] == "job.failed"
    assert message.verified()["data"]["error"] == {"type": "bad-result"}


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (Answer(500), 500, None),
        (Answer(404, body=b"x" * 100_000), 404, None),
        (Answer(302, {"Location": "/elsewhere"}), 302, None),
        (Answer(307, {"Location": "/elsewhere"}), 307, None),
        (Answer(None), None, "the connection broke"),
        (Answer(hangs=True), None, "no answer in time"),
        (Answer(None, drips=True), None, "no answer in time"),
    ],
)
async def test_retries(
    sending: Sending, receiver: Receiver, answer: Answer, status: int | None, error: str | None
) -> None:
    """What fails is tried again until it succeeds: the same event with the same id, signed anew."""
    receiver.answers.extend([answer, answer])
    async with sending(schedule=SOON, within=1.0) as engine:
        job = await told(engine, receiver.url)
        messages = [await came(receiver) for _ in range(3)]
        delivery = await over(engine, job)
    assert [message.path for message in messages] == ["/hook"] * 3
    assert len({message.id for message in messages}) == 1
    assert len({str(message.verified()) for message in messages}) == 1
    assert (delivery.attempts, delivery.last_status) == (3, 204)
    assert not receiver.has_message()
    receiver.answers.append(answer)
    async with sending(schedule=[60], within=1.0) as engine:
        job = await told(engine, receiver.url)
        delivery = await over(engine, job, attempts=1)
    assert (delivery.last_status, delivery.last_error) == (status, error)


async def test_the_status_counts(sending: Sending, receiver: Receiver) -> None:
    """What was answered with 2xx is delivered, though the body does not come to its end."""
    receiver.answers.append(Answer(200, drips=True))
    async with sending(within=60.0, schedule=[]) as engine:  # for which it is not waited
        delivery = await over(engine, await told(engine, receiver.url))
    assert (delivery.status, delivery.last_status) == (DeliveryStatus.DELIVERED, 200)


async def test_the_last_attempt(
    sending: Sending, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """After the last attempt of the schedule it has failed; the log names the host alone."""
    receiver.others = Answer(500)
    async with sending(schedule=[0.001, 0.001]) as engine:
        job = await told(engine, receiver.url + "?token=canary")
        delivery = await over(engine, job)
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.FAILED, 3)
    assert "given up after attempt 3 (HTTP 500)" in caplog.text
    assert f"127.0.0.1:{receiver.port}" in caplog.text
    assert "canary" not in caplog.text


async def test_gone(sending: Sending, receiver: Receiver) -> None:
    """A receiver that says 410 is not asked again."""
    receiver.answers.append(Answer(410))
    async with sending(schedule=SOON) as engine:
        delivery = await over(engine, await told(engine, receiver.url))
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.FAILED, 1)


async def test_attempts_are_counted(sending: Sending, receiver: Receiver) -> None:
    """By what they came to, with their seconds, and with what was given up and why."""
    receiver.answers.extend([Answer(), Answer(500), Answer(None), Answer(302), Answer(410)])
    async with sending(schedule=[0.001, 0.001]) as engine:
        for _ in range(3):
            await over(engine, await told(engine, receiver.url))
        attempts = engine.deliveries.attempts
    assert attempts.outcomes == {"delivered": 1, "refused": 3, "unanswered": 1}
    assert attempts.given_up == {"attempts": 1, "gone": 1}
    assert sum(attempts.seconds.counts) == 5
    assert 0 < attempts.seconds.sum < LONG


async def waited(sending: Sending, receiver: Receiver, retry_after: str) -> float:
    """Seconds until the second attempt, after a first one that was answered with this."""
    receiver.answers.append(Answer(503, {"Retry-After": retry_after}))
    async with sending(schedule=[10.0]) as engine:
        before = datetime.now(UTC).timestamp()
        delivery = await over(engine, await told(engine, receiver.url), attempts=1)
    assert delivery.next_at is not None
    return delivery.next_at / 1000 - before


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("", 10, 13),
        ("nonsense", 10, 13),
        ("-5", 10, 13),
        ("1", 10, 13),
        ("120", 120, 121),
        ("9" * 400, LONGEST, LONGEST + 1),
        (timedelta(hours=2), 7000, 7300),
        (timedelta(hours=-2), 10, 13),
    ],
    ids=["none", "nonsense", "negative", "soon", "later", "never", "at a time", "at one gone by"],
)
async def test_retry_after(
    sending: Sending, receiver: Receiver, retry_after: str | timedelta, least: float, most: float
) -> None:
    """A receiver can put the next attempt off, by a day at the most, and not bring it nearer."""
    if isinstance(retry_after, timedelta):
        retry_after = format_datetime(datetime.now(UTC) + retry_after)
    assert least <= await waited(sending, receiver, retry_after) <= most


async def test_down_and_up_again(sending: Sending) -> None:
    """A receiver that is not there gets its message when it is."""
    with Receiver() as gone:
        port = gone.port
    async with sending(schedule=[0.01] * 1000) as engine:
        job = await told(engine, gone.url)
        assert (await over(engine, job, attempts=1)).last_error == "the connection was refused"
        with Receiver(port=port) as receiver:
            (await came(receiver)).verified()
            assert (await over(engine, job)).status is DeliveryStatus.DELIVERED


async def test_a_hanging_receiver_holds_up_nobody(sending: Sending, receiver: Receiver) -> None:
    """While one receiver hangs it has a few attempts at once; jobs, cancels and others go on."""
    with Receiver() as hanging:
        hanging.others = Answer(hangs=True)
        async with sending() as engine:
            jobs = [await told(engine, hanging.url) for _ in range(3 * OF_RECEIVER)]
            for _ in range(OF_RECEIVER):
                await came(hanging)
            held = await accepted(engine, job_of("hold", "a"))
            await engine.cancel(held.id)
            await ended(engine, held)
            job = await told(engine, receiver.url)
            assert (await came(receiver)).id.startswith(f"job_{job.id.hex}")
            assert (await over(engine, job)).status is DeliveryStatus.DELIVERED
            for each in jobs:
                assert (await engine.get(each.id)).deliveries[0].attempts == 0
        assert hanging.most_open == OF_RECEIVER
    assert AT_ONCE >= 20 * OF_RECEIVER


async def test_many_to_one_receiver(sending: Sending, receiver: Receiver) -> None:
    """However many one receiver is to be told, it gets each once, a few at a time."""
    async with sending() as engine:
        jobs = [await told(engine, receiver.url) for _ in range(50)]
        ids = {(await came(receiver)).id for _ in jobs}
        for job in jobs:
            assert (await over(engine, job)).attempts == 1
    assert len(ids) == 50
    assert receiver.most_open <= OF_RECEIVER


class EndlessDeliveries:
    """Owes each of three receivers whatever it is asked for, one at a time."""

    def __init__(self, url: str) -> None:
        self.hooks = [Webhook(url, name) for name in "abc"]
        self.given: list[str] = []
        self.times: list[float] = []
        self.news = asyncio.Event()
        self.attempts = Attempts()
        self.enough = asyncio.Event()

    async def take(self, limit: int, past: Past) -> tuple[list[Due], float | None]:
        free = [hook for hook in self.hooks if hook.receiver not in past.busy]
        found = [hook for hook in free if hook.receiver > past.receiver][:1]
        for hook in found:
            self.given.append(hook.receiver)
            self.times.append(asyncio.get_running_loop().time())
        if len(self.given) >= 12:
            self.enough.set()
        return [Due(ENDED, hook, 0) for hook in found], None

    async def any_left(self) -> bool:
        return True

    async def figures(self) -> DeliveryFigures:
        return DeliveryFigures(pending=1, oldest=1, lost=0, attempts=self.attempts)

    async def record(self, due: Due, tried: Tried) -> None: ...

    async def redeliver(self, job_id: UUID) -> bool:
        return False


async def test_turns(receiver: Receiver) -> None:
    """Receivers that are owed without end have their turns."""
    receiver.others = Answer(hangs=True)
    deliveries = EndlessDeliveries(receiver.url)
    async with Sender(deliveries, Signer(SECRET), LOOPBACK), asyncio.timeout(LONG):
        await deliveries.enough.wait()
    assert "".join(deliveries.given[:12]) == "abc" * 4


def test_the_pace() -> None:
    """However much is due, attempts begin at a pace that leaves the event loop to jobs."""

    async def begin() -> list[float]:
        deliveries = EndlessDeliveries("http://127.0.0.1:9/")
        async with Sender(deliveries, Signer(SECRET), LOOPBACK):
            await deliveries.enough.wait()
        return deliveries.times

    times = run_virtual(begin)
    assert times[11] - times[0] == pytest.approx(11 * EVERY)


async def test_threads_of_its_own(sending: Sending, receiver: Receiver) -> None:
    """Names are looked up in threads of its own: one that hangs takes none from jobs."""
    async with sending() as engine:
        await over(engine, await told(engine, f"http://localhost:{receiver.port}/"))
        assert any("awaitd-webhooks" in thread.name for thread in threading.enumerate())


async def test_cut_off(sending: Sending, receiver: Receiver) -> None:
    """An attempt that is cut off by the end of the process is made again after the next start."""
    receiver.answers.append(Answer(hangs=True))
    async with sending() as engine:
        job = await told(engine, receiver.url)
        first = await came(receiver)
    async with sending() as engine:
        second = await came(receiver)
        delivery = await over(engine, job)
    assert first.id == second.id
    assert delivery.attempts == 1


async def test_the_guard(sending: Sending, receiver: Receiver) -> None:
    """Without being let through, no private address is reached, whatever it is called."""
    urls = [receiver.url, f"http://localhost:{receiver.port}/hook"]
    async with sending(OutboundPolicy(), schedule=[60]) as engine:
        for url in urls:
            delivery = await over(engine, await told(engine, url), attempts=1)
            assert delivery.last_error == "its address is not public"
    assert not receiver.has_message()


NAMELESS = ".".join(["a" * 60] * 5)
"""Longer than any name."""


@pytest.mark.parametrize(
    ("url", "error"),
    [
        (f"http://{NAMELESS}/", "its name has no address"),
        (f"http://{'a' * 64}.example/", "its name has no address"),
        ("https://127.0.0.1:{port}/", "it does not speak TLS as it should"),
    ],
    ids=["no name", "no host", "no TLS"],
)
async def test_why_there_is_no_connection(
    sending: Sending, receiver: Receiver, url: str, error: str
) -> None:
    """Names, certificates and refusals are told apart, in words that say no more than that."""
    async with sending(schedule=[60]) as engine:
        job = await told(engine, url.format(port=receiver.port))
        assert (await over(engine, job, attempts=1)).last_error == error


async def test_cookies(sending: Sending, receiver: Receiver) -> None:
    """What a receiver wants to be kept is not."""
    receiver.others = Answer(200, {"Set-Cookie": "a=b"})
    async with sending() as engine:
        for _ in range(2):
            await over(engine, await told(engine, receiver.url))
            assert "cookie" not in (await came(receiver)).headers


async def test_a_connection_serves_again(sending: Sending, receiver: Receiver) -> None:
    """A receiver that answers shortly is told the next thing over the same connection."""
    receiver.others = Answer(200, body=b"thank you")
    async with sending() as engine:
        for _ in range(2):
            await over(engine, await told(engine, receiver.url))
    first, second = receiver.message(), receiver.message()
    assert first.connection == second.connection


def test_the_schedule() -> None:
    """Ten attempts in three days, ever further apart."""
    assert len(SCHEDULE) == 9
    assert list(SCHEDULE) == sorted(SCHEDULE)
    assert SCHEDULE[0] == 5
    assert 3 * 86_400 < sum(SCHEDULE) < 4 * 86_400


async def test_a_large_message(sending: Sending) -> None:
    """Labels that would make it too large are left out."""
    async with sending() as engine:
        labels = {f"{n}": "🙂" * 255 for n in range(32)}
        job = await ended(engine, await accepted(engine, job_of("echo", labels=labels)))
    body = message_of(job)
    assert len(body) < MAX_BODY
    assert b'"labels":null' in body
