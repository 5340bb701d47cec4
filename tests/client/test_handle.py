from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.client import JobFailed, NoDelivery, Options, Progress, Status, TaskNotFinished, Webhook
from tests.support.gates import open_gate
from tests.support.receiver import Receiver


def test_a_job_that_returns(client: Any, gate: Path) -> None:
    """It is running, has no result yet, and then has the value that its coroutine returned."""
    job = client.submit("wait_for_file", path=str(gate))
    assert isinstance(job.id, UUID)
    assert job.status() is Status.RUNNING
    with pytest.raises(TaskNotFinished, match="is running") as raised:
        job.get_result()
    assert raised.value.status == Status.RUNNING
    open_gate(gate, "done")
    assert job.wait() == "done"
    assert job.status() is Status.COMPLETED
    assert job.get_result() == "done"


def test_a_job_that_raises(client: Any) -> None:
    """In the place of its result there is an exception that says what was raised."""
    job = client.submit("fail", message="out of paper")
    for look in (job.wait, job.get_result):
        with pytest.raises(JobFailed, match=r"^RuntimeError: out of paper$") as raised:
            look()
        assert raised.value.error.exception == "RuntimeError"
        assert raised.value.error.type == "exception"
        assert (raised.value.status, raised.value.type) == (424, "/problems/job-failed")
        assert raised.value.job == f"/jobs/{job.id}"


def test_cancel_is_true_once(client: Any) -> None:
    """Only the call that newly asked returns True; a cancelled job's result is None."""
    job = client.submit("never_end")
    assert [job.cancel(), job.cancel()] == [True, False]
    assert job.wait() is None
    assert job.get_result() is None
    assert job.status() is Status.CANCELLED
    assert job.cancel() is False


def test_cancel_of_a_job_that_waits(client: Any) -> None:
    """A pending job is cancelled at once and never starts."""
    job = client.submit("count_runs", Options(delay=60), path="nowhere")
    assert job.cancel() is True
    assert job.status() is Status.CANCELLED
    assert job.details().attempt == 0


def test_what_a_cancelled_job_returns(client: Any) -> None:
    """A coroutine that catches its cancel and returns a value has that as its result."""
    job = client.submit("return_when_cancelled", value=[1, 2])
    assert job.cancel() is True
    assert job.wait() == [1, 2]
    assert job.status() is Status.CANCELLED


def test_clean_up_that_fails(client: Any) -> None:
    """A cancelled job whose clean-up raised has None for a result, and its error."""
    job = client.submit("fail_when_cancelled")
    assert job.cancel() is True
    assert job.wait() is None
    assert job.details().error.message == "could not clean up"


def test_cancel_of_a_job_that_has_ended(client: Any) -> None:
    """It returns False and changes nothing."""
    job = client.submit("echo", value=1)
    assert job.wait() == 1
    assert job.cancel() is False
    assert job.get_result() == 1


def test_cancel_while_the_job_starts(client: Any, gate: Path) -> None:
    """A job that changes between the look and the cancel is looked at again."""
    first = client.submit("one_at_a_time", path=str(gate))
    second = client.submit("one_at_a_time", path=str(gate))
    before = second.details()
    assert before.status is Status.PENDING
    open_gate(gate)
    first.wait()
    assert second.cancel() in (True, False)
    assert second.details().done or second.wait() is None


@pytest.mark.parametrize("timeout", [0, 0.05, 1.2])
def test_waiting_has_a_limit(client: Any, gate: Path, timeout: float) -> None:
    """A wait that runs out raises TimeoutError, and leaves the job alone."""
    job = client.submit("wait_for_file", path=str(gate))
    with pytest.raises(TimeoutError, match=f"is running after {timeout} s"):
        job.wait(timeout=timeout)
    assert job.status() is Status.RUNNING
    open_gate(gate, "on")
    assert job.wait(timeout=30) == "on"


def test_no_time_is_enough_for_a_job_that_has_ended(client: Any) -> None:
    """A job that has ended is never too late, however short the time."""
    job = client.submit("echo", value=None)
    assert job.wait() is None
    assert job.status() is Status.COMPLETED
    assert client.submit("echo", Options(idempotency_key="n"), value=1).wait() == 1
    assert client.submit("echo", Options(idempotency_key="n"), value=1).wait(timeout=0) == 1


def test_progress_and_logs(client: Any, gate: Path) -> None:
    """What the coroutine reports and writes can be looked at, and is not there before."""
    job = client.submit("report_progress", path=str(gate))
    kinds = {event.kind: event for event in _until(job.events(), "progress")}
    assert kinds["progress"].progress == job.progress() == Progress(0.5, "half way")
    open_gate(gate)
    job.wait()
    assert client.submit("echo", value=1).progress() is None
    written = client.submit("write_lines", count=3)
    written.wait()
    assert [(line.message, line.attempt) for line in written.logs()] == [
        ("line 0", 1),
        ("line 1", 1),
        ("line 2", 1),
    ]
    assert written.logs()[0].time.tzinfo is not None


def test_details(client: Any) -> None:
    """All that is known of a job comes as a record, its times with their zones."""
    options = Options(priority=3, timeout=5, labels={"order": "42"})
    job = client.submit("sleep", options, seconds=0)
    job.wait()
    found = client.job(str(job.id)).details()
    assert (found.id, found.task, found.priority) == (job.id, "sleep", 3)
    assert (found.params, found.labels, found.timeout) == ({"seconds": 0}, {"order": "42"}, 5)
    assert found.created_at.utcoffset() is not None
    assert found.created_at <= found.attempts[0].started_at <= found.finished_at
    assert found.attempts[0].outcome is Status.COMPLETED
    assert found.document["links"]["self"] == f"/jobs/{job.id}"


def test_webhook(client: Any) -> None:
    """Who is told of a job's end is submitted with it, and the job says how that went."""
    with Receiver() as receiver:
        options = Options(webhook=Webhook(receiver.url, ("completed",)))
        job = client.submit("echo", options, value="one")
        job.wait()
        message = receiver.message()
        assert message.verified()["data"]["id"] == str(job.id)
        webhook = job.details().webhook
        while webhook.deliveries[0].status == "pending":
            webhook = job.details().webhook
    assert (webhook.url, webhook.events) == (receiver.url, ("completed",))
    [delivery] = webhook.deliveries
    assert (delivery.id, delivery.event, delivery.status) == (message.id, "completed", "delivered")
    assert (delivery.attempts, delivery.last_status, delivery.last_error) == (1, 204, None)
    assert delivery.delivered_at.utcoffset() is not None
    assert delivery.next_attempt_at is None
    assert receiver.url not in repr(webhook)


def test_again(client: Any) -> None:
    """A copy has the params of its original, or others in their place."""
    job = client.submit("echo", value="one")
    assert job.again().wait() == "one"
    assert job.again(Options(labels={"a": "b"}), value="two").wait() == "two"


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 2**64 - 1, 0.1, "é\u2028", None, [{}]])
def test_values_stay_as_they_are(client: Any, value: Any) -> None:
    """What goes in comes out, integers of 64 bits among others."""
    result = client.submit("echo", value=value).wait()
    assert (result, type(result)) == (value, type(value))


def test_params_of_any_name(client: Any) -> None:
    """A param may be called as an option is, or as Python's own."""
    for name in ("priority", "options", "self", "task", "labels", "class"):
        with pytest.raises(Exception, match=f"/params/{name}: Extra inputs"):
            client.submit("sleep", seconds=0, **{name: 1})


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_what_is_no_json(client: Any, value: Any) -> None:
    """What JSON does not have is refused before anything is sent."""
    with pytest.raises((TypeError, ValueError)):
        client.submit("echo", value=value)


def test_no_id(client: Any) -> None:
    """What is no id of a job is no job."""
    with pytest.raises(ValueError, match="UUID"):
        client.job("../tasks")


def _until(events: Any, kind: str) -> list[Any]:
    """The events up to the first of a kind."""
    seen = []
    for event in events:
        seen.append(event)
        if event.kind == kind:
            break
    return seen


def test_racing_cancels(client: Any, in_threads: Callable[..., list[Any]]) -> None:
    """Of several who cancel at once, one is told that it newly asked."""
    job = client.submit("never_end")
    assert sorted(in_threads(8, job.cancel)) == [False] * 7 + [True]


def test_an_end_is_told_again(client: Any) -> None:
    """The receiver gets the same event once more; a job without a webhook says so."""
    with Receiver() as receiver:
        job = client.submit("echo", Options(webhook=Webhook(receiver.url)), value=1)
        first = receiver.message()
        while not (webhook := job.details().webhook).deliveries[0].attempts:
            pass
        delivery = job.redeliver()
        assert delivery.id == webhook.deliveries[0].id == first.id
        assert receiver.message().id == first.id
    job = client.submit("echo", value=1)
    job.wait()
    with pytest.raises(NoDelivery, match="no webhook"):
        job.redeliver()
