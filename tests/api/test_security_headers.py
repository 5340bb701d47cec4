import re
from contextlib import closing

import httpx
import pytest

from app.api.problem_types import PROBLEMS
from tests.support.raw import connect, exchange
from tests.support.server import Server

HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

PAGES = ("/docs", "/dashboard/")

REQUESTS = [
    ("GET", "/jobs"),
    ("HEAD", "/jobs"),
    ("POST", "/jobs"),
    ("GET", "/jobs/{id}"),
    ("HEAD", "/jobs/{id}"),
    ("DELETE", "/jobs/{id}"),
    ("GET", "/jobs/{id}/result"),
    ("GET", "/jobs/{id}/events"),
    ("GET", "/jobs/{id}/logs"),
    ("GET", "/jobs/{id}/stack"),
    ("POST", "/jobs/{id}/deliveries"),
    ("GET", "/jobs/none"),
    ("GET", "/jobs?limit=0"),
    ("GET", "/tasks"),
    ("GET", "/tasks/echo"),
    ("GET", "/stats"),
    ("GET", "/metrics"),
    ("GET", "/backup"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/"),
    ("GET", "/dashboard/main.js"),
    ("GET", "/dashboard/style/base.css"),
    ("GET", "/dashboard/none.js"),
    ("GET", "/docs"),
    ("GET", "/docs/init.js"),
    ("GET", "/docs/swagger-ui.css"),
    ("GET", "/docs/favicon-32x32.png"),
    ("GET", "/docs/nope"),
    ("GET", "/nope"),
    ("HEAD", "/nope"),
    ("PUT", "/jobs"),
    ("OPTIONS", "/livez"),
    *(("GET", f"/problems/{slug}") for slug in PROBLEMS),
]

BAD = ["GET /livez HTTP/3.0\nHost: a\n\n", "nonsense\n\n", "GET / HTTP/1.1\nHost: a\nX: {}\n\n"]


@pytest.fixture(scope="module")
def job_id(server: Server) -> str:
    """A finished job."""
    job_id = server.submit("echo", value=1, headers={"Prefer": "wait=10"})["id"]
    assert isinstance(job_id, str)
    return job_id


def require_headers(headers: httpx.Headers, path: str) -> None:
    """Raise `AssertionError` unless an answer tells a browser to do as little as possible."""
    for name, value in HEADERS.items():
        given = headers.get_list(name)
        if name == "content-security-policy" and (path == "/" or path.startswith(PAGES)):
            assert len(given) == 1
            assert given[0].startswith("default-src 'none'; ")
            assert "frame-ancestors 'none'" in given[0]
            assert "unsafe" not in given[0]
        else:
            assert given == [value], name
    assert len(headers.get_list("cache-control")) == 1
    assert "server" not in headers


def test_every_route_is_asked(client: httpx.Client) -> None:
    """The list here has every path of the document, but the stream of all jobs."""
    asked = {re.sub("{id}", "{job_id}", path.partition("?")[0]) for _, path in REQUESTS}
    paths = client.get("/openapi.json").json()["paths"]
    open_ended = {"/events", "/tasks/{name}", "/problems/{slug}"}
    assert paths.keys() - asked == open_ended


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_every_answer_tells_browsers_to_do_little(
    client: httpx.Client, job_id: str, method: str, path: str
) -> None:
    """Nothing is framed, sniffed, loaded or told to others, on whatever route and status."""
    answer = client.request(method, path.format(id=job_id))
    require_headers(answer.headers, path)


def test_a_stream_has_them_too(client: httpx.Client) -> None:
    """An open stream begins with the same headers."""
    with client.stream("GET", "/events") as answer:
        require_headers(answer.headers, "/events")
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("path", "status"), [("/jobs/{id}", 304), ("/docs/init.js", 304)])
def test_not_modified_has_them_too(
    client: httpx.Client, job_id: str, path: str, status: int
) -> None:
    """An answer without a body has the headers of the one with it."""
    path = path.format(id=job_id)
    tag = client.get(path).headers["etag"]
    answer = client.get(path, headers={"If-None-Match": tag})
    assert answer.status_code == status
    require_headers(answer.headers, path)


@pytest.mark.parametrize("request_text", BAD)
def test_answers_that_reach_no_route_have_them_too(server: Server, request_text: str) -> None:
    """What the connection itself refuses is refused with the same headers."""
    status, headers, _ = exchange(server.url, request_text.format("a" * 70_000))
    assert status in (400, 431)
    shouted = headers | {"x-frame-options": headers["x-frame-options"].upper()}
    require_headers(httpx.Headers(shouted), "")  # the test's client lowers all
    assert headers["connection"] == "close"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "control"),
    [("/tasks", "no-store"), ("/openapi.json", "no-store"), ("/jobs/{id}", "private, no-cache")],
)
def test_what_says_nothing_is_not_cached(
    client: httpx.Client, job_id: str, path: str, control: str
) -> None:
    """An answer that does not say how it may be cached may not be; one that does is left alone."""
    assert client.get(path.format(id=job_id)).headers["cache-control"] == control


def test_no_answer_before_a_request(server: Server) -> None:
    """A connection that is opened and closed leaves nothing behind."""
    with closing(connect(server.url)):
        pass
    assert server.client.get("/livez").status_code == 200
