from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from app.jobs.registry import TaskRegistry
from app.main import build_app
from app.settings import Settings
from tests.support.app_server import serving
from tests.support.engines import EndlessEngine
from tests.support.raw import exchange
from tests.support.server import Server

PATHS = [
    "/jobs",
    "/jobs?limit=1",
    "/jobs/{id}",
    "/jobs/{id}/result",
    "/jobs/none",
    "/tasks",
    "/tasks/sleep",
    "/livez",
    "/readyz",
    "/metrics",
    "/problems/not-found",
    "/docs",
    "/docs/init.js",
    "/openapi.json",
    "/nope",
]


@pytest.fixture(scope="module")
def job_id(server: Server) -> str:
    """A finished job."""
    job_id = server.submit("echo", value=1, headers={"Prefer": "wait=10"})["id"]
    assert isinstance(job_id, str)
    return job_id


@pytest.fixture(scope="module", params=["mounted", "behind a proxy"])
def prefixed(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client whose base URL is what the service's callers know as /prefix."""
    app = build_app(Settings.model_construct(), TaskRegistry(), EndlessEngine())
    if request.param == "mounted":
        outer = FastAPI(docs_url=None, openapi_url=None, redirect_slashes=False)
        outer.mount("/prefix", app)
        with serving(outer) as client:
            client.base_url = client.base_url.join("/prefix")
            yield client
    else:
        with serving(app, root_path="/prefix") as client:
            yield client


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_a_body(client: httpx.Client, job_id: str, path: str) -> None:
    """HEAD has the status and the headers of GET on every path, and no body."""
    path = path.format(id=job_id)
    get, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    names = ("date", "content-length") if path == "/metrics" else ("date",)  # it counts itself
    varying = dict.fromkeys(names, "")
    assert {**head.headers, **varying} == {**get.headers, **varying}


@pytest.mark.parametrize("path", ["/events", "/jobs/{id}/events"])
def test_head_of_a_stream_ends(client: httpx.Client, job_id: str, path: str) -> None:
    """HEAD of a stream is answered and over: the connection is free for what comes next."""
    with httpx.Client(base_url=client.base_url, verify=False, timeout=10) as other:
        head = other.head(path.format(id=job_id))
        assert head.headers["content-type"].startswith("text/event-stream")
        assert other.get("/livez").status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_browsers_must_not_guess_types(client: httpx.Client, job_id: str, path: str) -> None:
    """Every answer forbids a browser to guess its type, once."""
    answer = client.get(path.format(id=job_id))
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "a/b?c#d", "[", "x y", "évil"])
@pytest.mark.parametrize("path", ["/jobs?limit=1", "/nope"])
def test_the_host_header_leads_nowhere(server: Server, job_id: str, host: str, path: str) -> None:
    """No answer depends on the Host header, however strange it is."""
    request = "GET {} HTTP/1.1\nHost: {}\nConnection: close\n\n"
    usual = exchange(server.url, request.format(path, "awaitd"))
    odd = exchange(server.url, request.format(path, host))
    for _, headers, _ in (usual, odd):
        headers.pop("date")
    assert odd == usual


def test_links_keep_the_prefix(prefixed: httpx.Client) -> None:
    """Under a prefix every path in an answer has it: Location, links, problems and their job."""
    submitted = prefixed.post("/jobs", json={"task": "sleep"})
    path = submitted.headers["location"]
    assert path.startswith("/prefix/jobs/")
    links = {"self": path, "result": path + "/result", "events": path + "/events"}
    assert submitted.json()["links"] == links
    problem = prefixed.get(path.removeprefix("/prefix") + "/result").json()
    assert problem["type"] == "/prefix/problems/job-not-finished"
    assert problem["instance"] == path + "/result"
    assert problem["job"] == path
    page = prefixed.get(problem["type"].removeprefix("/prefix")).json()
    assert page["type"] == problem["type"]


def test_errors_keep_the_prefix(prefixed: httpx.Client) -> None:
    """Under a prefix 404 and 405 are problems too, and Allow is complete."""
    missing = prefixed.get("/nope")
    assert (missing.status_code, missing.json()["instance"]) == (404, "/prefix/nope")
    wrong = prefixed.put("/jobs")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, POST, HEAD")


def test_the_document_names_the_prefix(prefixed: httpx.Client) -> None:
    """Under a prefix the document's server is the prefix."""
    assert prefixed.get("/openapi.json").json()["servers"] == [{"url": "/prefix"}]
