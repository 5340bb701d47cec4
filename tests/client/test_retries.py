import json
import socket
import time
from typing import Any
from uuid import uuid4

import pytest

from app.client import (
    Busy,
    Filters,
    NotAwaitd,
    Options,
    ProblemError,
    ServerError,
    ShuttingDown,
    Unreachable,
)
from tests.client.conftest import Connect
from tests.support.relay import DROP, LOSE, Relay, response
from tests.support.server import Server


def problem(slug: str, status: str, **headers: str) -> bytes:
    """The answer that a problem is."""
    body = {"type": f"/problems/{slug}", "title": "T", "status": int(status[:3]), "detail": "why"}
    return response(status, json.dumps(body).encode(), **headers)


def marked() -> Options:
    """Options of a job that is found again."""
    return Options(labels={"mark": uuid4().hex})


def found(client: Any, options: Options) -> int:
    """How many jobs were made with these options."""
    return len(list(client.jobs(Filters(labels=options.labels))))


@pytest.mark.parametrize("lost", [DROP, LOSE])
def test_a_lost_connection(connect: Connect, relay: Relay, lost: bytes) -> None:
    """A submission whose answer is lost, or that did not arrive, is made again: one job."""
    client, options = connect(relay.url), marked()
    relay.answers.extend([lost, lost])
    assert client.submit("echo", options, value=1).wait() == 1
    assert found(client, options) == 1
    keys = {line for r in relay.requests[:3] for line in r.splitlines() if b"dempotency" in line}
    assert len(keys) == 1


def test_a_cancel_whose_answer_is_lost(connect: Connect, relay: Relay, server: Server) -> None:
    """The call that asked returns True, although it had to ask again."""
    client = connect(relay.url)
    job = client.submit("never_end")
    relay.cut()
    seen = server.client.get(f"/jobs/{job.id}", headers={"Prefer": "return=minimal"})
    # Its connection ends, so that the cancel is the first request of the next one.
    relay.answers.append(response("200 OK", seen.content, ETag=seen.headers["ETag"]))
    relay.answers.append(LOSE)
    assert job.cancel() is True
    assert job.cancel() is False
    assert [r.split()[0] for r in relay.requests[1:4]] == [b"GET", b"DELETE", b"DELETE"]


def test_somebody_elses_cancel_is_not_ours(connect: Connect, relay: Relay, server: Server) -> None:
    """A cancel that comes between look and request is not taken for one's own."""
    client = connect(relay.url)
    job = client.submit("never_end")
    relay.cut()
    seen = server.client.get(f"/jobs/{job.id}", headers={"Prefer": "return=minimal"})
    server.client.delete(f"/jobs/{job.id}")
    relay.answers.append(response("200 OK", seen.content, ETag=seen.headers["ETag"]))
    assert job.cancel() is False


def test_busy_servers_are_asked_again(connect: Connect, relay: Relay) -> None:
    """429 and 503 are worth another attempt, whoever says so."""
    client, options = connect(relay.url), marked()
    relay.answers.append(problem("queue-full", "429 Too Many Requests", Retry_After="0"))
    relay.answers.append(problem("shutting-down", "503 Service Unavailable", Retry_After="0"))
    relay.answers.append(response("503 Service Unavailable", b"<html>"))
    assert client.submit("echo", options, value=1).wait() == 1
    assert found(client, options) == 1


def test_retry_after_is_kept_to(connect: Connect, relay: Relay) -> None:
    """The next attempt comes no sooner than the service asks for."""
    client = connect(relay.url)
    relay.answers.append(problem("queue-full", "429 Too Many Requests", Retry_After="1"))
    began = time.monotonic()
    client.submit("echo", value=1)
    assert time.monotonic() - began >= 1


def test_no_time_for_retry_after(connect: Connect, relay: Relay) -> None:
    """When the time does not suffice the refusal is raised, with what it says."""
    client = connect(relay.url, timeout=20)
    headers = {"Retry_After": "60", "X_Request_ID": "r1"}
    relay.answers.append(problem("shutting-down", "503 Service Unavailable", **headers))
    with pytest.raises(ShuttingDown) as raised:
        client.tasks()
    error = raised.value
    assert isinstance(error, Busy)
    assert (error.status, error.type) == (503, "/problems/shutting-down")
    assert (error.title, error.detail, error.retry_after) == ("T", "why", 60)
    assert error.request_id == "r1"
    assert len(relay.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("400 Bad Request", ProblemError),
        ("302 Found", ProblemError),
        ("500 Internal Server Error", ServerError),
        ("502 Bad Gateway", ServerError),
        ("504 Gateway Timeout", ServerError),
    ],
)
def test_other_answers_are_final(
    connect: Connect, relay: Relay, status: str, kind: type[ProblemError]
) -> None:
    """Whatever else is an error is raised at once, a proxy's page and a redirect too."""
    relay.answers.append(response(status, b"<html>", Location="/elsewhere"))
    with pytest.raises(kind, match=f"it answered {status[:3]}") as raised:
        connect(relay.url).submit("echo", value=1)
    assert raised.value.status == int(status[:3])
    assert len(relay.requests) == 1


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"items": 1}', b'{"items": [{}]}'])
def test_who_is_not_awaitd(connect: Connect, relay: Relay, body: bytes) -> None:
    """An answer that awaitd would not give says that the URL is wrong."""
    relay.answers.append(response("200 OK", body))
    with pytest.raises(NotAwaitd, match="it answered 200, but not as awaitd does"):
        connect(relay.url).tasks()


def test_nobody_answers(connect: Connect) -> None:
    """After the time limit it says where nobody answers, and has tried more than once."""
    with Relay() as relay:
        with pytest.raises(Unreachable, match=f"no answer from {relay.url}"):
            connect(relay.url, timeout=0.3).tasks()
        assert len(relay.requests) > 1


def test_a_service_that_says_nothing(connect: Connect) -> None:
    """A service that takes connections and says nothing is given up within the limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unreachable):
            connect(f"http://127.0.0.1:{port}", timeout=0.2).tasks()


def test_waiting_for_a_job_of_a_service_that_is_gone(connect: Connect, relay: Relay) -> None:
    """A wait ends with its own limit or the client's, whichever comes first."""
    job = connect(relay.url).submit("never_end")
    target, relay.target = relay.target, ""
    relay.cut()
    with pytest.raises(TimeoutError, match="is not known to have finished"):
        connect(relay.url, timeout=0.3).job(job.id).wait(timeout=0.1)
    relay.target = target
    assert job.cancel() is True
    assert job.wait() is None


def test_a_service_that_lets_nobody_wait(connect: Connect, relay: Relay) -> None:
    """Where waiting is not granted the client asks after pauses, not without end."""
    client = connect(relay.url)
    job = client.submit("echo", value=1)
    relay.cut()
    relay.requests.clear()
    not_yet = problem("job-not-finished", "409 Conflict", Job_Status="running", Retry_After="1")
    relay.answers.extend([not_yet] * 1000)
    with pytest.raises(TimeoutError, match=r"is running after 1\.2 s"):
        job.wait(timeout=1.2)
    assert len(relay.requests) <= 4
