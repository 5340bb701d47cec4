import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.jobs.errors import StoreUnavailable
from app.jobs.events import EventKind, JobEvent
from app.jobs.registry import TaskRegistry
from app.main import build_app
from app.settings import Settings
from tests.support.app_server import serving
from tests.support.engines import BreakingEngine
from tests.support.gates import open_gate
from tests.support.server import Server
from tests.support.sse import events_of


def test_the_life_of_a_job(server: Server, client: httpx.Client, gate: Path) -> None:
    """A stream tells the state, the progress and the end of a job, then ends itself."""
    job = server.running("report_progress", path=str(gate))
    with client.stream("GET", f"/jobs/{job['id']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        events = events_of(answer)
        first = next(events)
        assert (first.kind, first.data["status"]) == ("status", "running")
        assert "params" not in first.data
        progress = next(events)
        assert (progress.id, progress.kind) == (None, "progress")
        assert progress.data == {"job": job["id"], "fraction": 0.5, "message": "half way"}
        open_gate(gate)
        *_, done = events
    assert (done.kind, done.data["status"]) == ("done", "completed")
    assert done.id is not None
    assert int(done.id) > int(first.id or 0)


def test_a_stream_resumes(server: Server, client: httpx.Client, gate: Path) -> None:
    """With `Last-Event-ID` a stream tells what changed since, and 204 when nothing can."""
    job = server.running("report_progress", path=str(gate))
    path = f"/jobs/{job['id']}/events"
    with client.stream("GET", path) as answer:
        first = next(events_of(answer))
    open_gate(gate)
    with client.stream("GET", path, headers={"Last-Event-ID": first.id or ""}) as answer:
        *_, done = events_of(answer)
    assert done.kind == "done"
    assert client.get(path, headers={"Last-Event-ID": done.id or ""}).status_code == 204


def test_a_finished_job_is_done(server: Server, client: httpx.Client) -> None:
    """A stream opened on a finished job sends `done` and closes."""
    job = server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    with client.stream("GET", f"/jobs/{job['id']}/events") as answer:
        [done] = events_of(answer)
    assert (done.kind, done.data["id"]) == ("done", job["id"])


def test_all_jobs(server: Server, client: httpx.Client) -> None:
    """The stream of all jobs begins with a lone id, and is filtered as a list is."""
    with client.stream("GET", "/events?task=echo&label=stream:one") as answer:
        events = events_of(answer)
        opening = next(events)
        assert (opening.kind, opening.data) == (None, None)
        assert (opening.id or "").isdigit()
        server.submit("echo", value="unwanted")
        body = {"task": "echo", "params": {"value": 1}, "labels": {"stream": "one"}}
        job = client.post("/jobs", json=body).json()
        told = next(events)
    assert told.data["id"] == job["id"]


def test_all_jobs_resumed(client: httpx.Client) -> None:
    """A resumed stream of all jobs has what ended meanwhile, each job once."""
    path, body = "/events?label=stream:resumed", {"task": "echo", "params": {"value": 1}}
    with client.stream("GET", path) as answer:
        last = next(events_of(answer)).id
    resumed = {"labels": {"stream": "resumed"}}
    jobs = [
        client.post("/jobs", json=body | resumed, headers={"Prefer": "wait=10"}).json()["id"]
        for _ in range(3)
    ]
    with client.stream("GET", path, headers={"Last-Event-ID": last or ""}) as answer:
        events = events_of(answer)
        assert next(events).id == last
        told = [next(events) for _ in jobs]
    assert [event.data["id"] for event in told] == jobs
    assert {event.kind for event in told} == {"done"}


def test_numbers_that_never_were(client: httpx.Client) -> None:
    """An id that the store does not reach gets a `reset`, with the number to go on from."""
    with client.stream("GET", "/events", headers={"Last-Event-ID": "999999999"}) as answer:
        reset = next(events_of(answer))
    assert reset.kind == "reset"
    assert reset.id is not None


@pytest.mark.parametrize(
    ("path", "headers", "slug"),
    [
        ("/jobs/0199d2a0-7b1c-7000-8f3e-2a41c07de512/events", {}, "job-not-found"),
        ("/jobs/x/events", {}, "job-not-found"),
        ("/events", {"Last-Event-ID": "x"}, "invalid-parameter"),
        ("/events?limit=1", {}, "invalid-parameter"),
        ("/events?status=unheard", {}, "invalid-parameter"),
    ],
)
def test_problems_come_before_the_stream(
    client: httpx.Client, path: str, headers: dict[str, str], slug: str
) -> None:
    """What is wrong with a request is a problem, not an empty stream."""
    answer = client.get(path, headers=headers)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"/problems/{slug}"


def test_a_shutdown_ends_streams(start_server: Callable[..., Server]) -> None:
    """Open streams and waiting clients do not hold up a shutdown: each ends as it stands."""
    tasks = "app.tasks,tests.support.tasks_for_tests"
    server = start_server(AWAITD_TASKS=tasks, AWAITD_SHUTDOWN_GRACE="0")
    job = server.running("never_end")
    opened = threading.Barrier(4)
    kinds: list[str | None] = []

    def read(path: str) -> None:
        with (
            httpx.Client(base_url=server.url, timeout=30) as client,
            client.stream("GET", path) as answer,
        ):
            events = events_of(answer)
            kinds.append(next(events).kind)
            opened.wait()
            kinds.extend(event.kind for event in events)

    paths = [f"/jobs/{job['id']}/events", "/events", "/events"]
    readers = [threading.Thread(target=read, args=(path,)) for path in paths]
    for reader in readers:
        reader.start()
    opened.wait()
    assert server.terminate() == 0
    for reader in readers:
        reader.join()
    assert kinds.count("status") == 1


@pytest.mark.parametrize("first", [(), (JobEvent(kind=EventKind.POSITION, version=7),)])
def test_a_stream_whose_store_does_not_answer(first: tuple[JobEvent, ...]) -> None:
    """A stream that cannot begin is a problem; one that cannot go on ends, and can be resumed."""
    engine = BreakingEngine(StoreUnavailable("the database is away"), *first)
    with serving(build_app(Settings.model_construct(), TaskRegistry(), engine)) as client:
        for _ in range(3):
            answer = client.get("/events")
            if first:
                assert (answer.status_code, answer.text) == (200, "id: 7\n\n")
            else:
                assert answer.status_code == 503
                assert answer.json()["type"] == "/problems/store-unavailable"
