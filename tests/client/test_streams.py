from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.client import Filters, JobNotFound, NotAwaitd, Options, Status
from app.client.streams import EventParser
from tests.client.conftest import Connect
from tests.support.gates import open_gate
from tests.support.relay import Relay, response
from tests.support.server import Server


def first(events: Iterator[Any], kind: str) -> Any:
    """The next event of a kind."""
    return next(event for event in events if event.kind == kind)


def lines(events: list[Any]) -> list[str]:
    """What was written."""
    return [event.line.message for event in events if event.line is not None]


def test_the_life_of_a_job(client: Any, gate: Path) -> None:
    """Events tell each status with the job, what its coroutine says, and at last its end."""
    job = client.submit("report_progress", path=str(gate))
    events = job.events()
    status = next(events)
    assert (status.kind, status.job_id, status.job.status) == ("status", job.id, Status.RUNNING)
    assert first(events, "progress").progress.message == "half way"
    open_gate(gate)
    (done,) = (event for event in events if event.job is not None)
    assert (done.kind, done.job.status, done.job.done) == ("done", Status.COMPLETED, True)


def test_a_job_that_has_ended(client: Any) -> None:
    """Its stream is its end."""
    job = client.submit("echo", value=1)
    job.wait()
    assert [event.kind for event in job.events()] == ["done"]


def test_no_such_job(client: Any) -> None:
    """The first event of a job that is not there is the exception that says so."""
    job = client.job("0199d2a0-7b1c-7000-8f3e-2a41c07de512")
    with pytest.raises(JobNotFound):
        next(job.events())


def test_a_broken_stream_goes_on(
    connect: Connect, relay: Relay, server: Server, tmp_path: Path
) -> None:
    """Nothing is told twice, and what was written while the connection was broken is not lost."""
    before, meanwhile, after = (tmp_path / name for name in ("before", "meanwhile", "after"))
    paths = [str(path) for path in (before, meanwhile, after)]
    job = connect(relay.url).submit("write_when_told", paths=paths)
    events = job.events()
    open_gate(before)
    assert first(events, "log").line.message == "before"
    relay.target = ""
    relay.cut()
    open_gate(meanwhile)
    while len(server.client.get(f"/jobs/{job.id}/logs").json()["items"]) < 2:
        pass
    relay.target = server.url
    assert first(events, "log").line.message == "meanwhile"
    open_gate(after)
    rest = list(events)
    assert lines(rest) == ["after"]
    assert [event.kind for event in rest if event.job is not None] == ["done"]
    assert any(b"ast-event-id" in request.lower() for request in relay.requests)


def test_a_stream_that_ends_too_early(connect: Connect, relay: Relay) -> None:
    """A stream that ends in the middle of an event is taken up where it was."""
    client = connect(relay.url)
    job = client.submit("echo", value=1)
    job.wait()
    relay.cut()
    half = b'id: 1\nevent: status\ndata: {"id"'
    relay.answers.append(response("200 OK", half, Content_Type="text/event-stream"))
    assert [event.kind for event in job.events()] == ["done"]
    assert not any(b"ast-event-id" in request.lower() for request in relay.requests)


def test_nothing_more_to_come(connect: Connect, relay: Relay) -> None:
    """204, the answer past the end of a job, ends the stream."""
    client = connect(relay.url)
    job = client.submit("echo", value=1)
    relay.cut()
    relay.answers.append(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    assert list(job.events()) == []


def test_all_jobs(connect: Connect, relay: Relay, server: Server) -> None:
    """The stream of all jobs tells those that fit, and changes while it was broken as well."""
    client, options = connect(relay.url), Options(labels={"mark": "streams"})
    other = connect(server.url)
    events = client.events(Filters(labels=options.labels, status=["completed", "failed"]))
    with ThreadPoolExecutor(1) as threads:
        told = threads.submit(next, events)
        while not told.done():  # it may not have been open for the first ones
            other.submit("echo", options, value=1).wait()
        assert (told.result().kind, told.result().job.task) == ("done", "echo")
    relay.cut()
    job = other.submit("fail", options, message="x")
    event = next(event for event in events if event.job_id == job.id)
    assert (event.kind, event.job.error.message) == ("done", "x")


@pytest.mark.parametrize("body", [b"data: {\n\n", b"event: status\ndata: {}\n\n"])
def test_events_that_are_none(connect: Connect, relay: Relay, body: bytes) -> None:
    """What is no event of awaitd's says that the URL is wrong."""
    relay.answers.append(response("200 OK", body, Content_Type="text/event-stream"))
    with pytest.raises(NotAwaitd):
        next(connect(relay.url).events())


TEXT = (
    'id: 7\n\n:\n\nid: 8\r\nevent: status\r\ndata: {"a": "é\u2028"}\r\n\r\n'
    "event: log\ndata: [1,\ndata:2]\n\nid: 9\nevent: done\ndata: {}\n\nid: 10\nevent: x\ndata: {"
).encode()


@given(st.lists(st.integers(1, len(TEXT) - 1)))
def test_chunks_do_not_matter(cuts: list[int]) -> None:
    """However the bytes are cut, the events are the same, and an unfinished one is none."""
    parser = EventParser()
    events: list[tuple[str, Any]] = []
    ends = [0, *sorted(cuts), len(TEXT)]
    for start, end in pairwise(ends):
        events += parser.feed(TEXT[start:end])
    assert events == [("status", {"a": "é\u2028"}), ("log", [1, 2]), ("done", {})]
    assert parser.last_id == "9"
