"""Both ways to a route: the front's and FastAPI's."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi import Path as PathParam
from fastapi.responses import Response
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from starlette.requests import ClientDisconnect, empty_receive, empty_send
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.front import Front, _Request
from app.api.replies import WHOLE, Reply
from app.api.requests import ApiState
from app.jobs import errors
from app.jobs.events import EventKind, JobEvent, Watch
from app.jobs.models import Job
from app.jobs.registry import TaskRegistry
from app.keys import KeyFile
from app.main import Service, build_app
from app.settings import Settings
from tests.support.engines import EndlessEngine, RefusingEngine

JOB_ID: Final = "0199d2a0-7b1c-7000-8f3e-2a41c07de511"
UNKNOWN: Final = UUID("0199d2a0-7b1c-7000-8f3e-2a41c07de512")


class ReadyEngine(EndlessEngine):
    """Answers at once whatever is asked about its one job; of the rest it refuses all."""

    def __init__(self) -> None:
        super().__init__()
        self.job = replace(self.job, id=UUID(JOB_ID))

    async def get(self, job_id: UUID, *, owner: str | None = None) -> Job:
        if job_id != self.job.id:
            raise errors.JobNotFound(job_id)
        return self.job

    async def wait(self, job_id: UUID, *, timeout: float, since: int | None = None) -> Job:
        return self.job

    async def watch(self, watch: Watch) -> AsyncGenerator[JobEvent, None]:
        yield JobEvent(kind=EventKind.STATUS, version=1, job=self.job)


ENGINE: Final = ReadyEngine()
SENT: Final = b'{"task":"sleep","params":{}}'

PARTS: Final = [
    JOB_ID, JOB_ID.upper(), JOB_ID + "\n", JOB_ID + "\n\n", str(UNKNOWN), "none", "", "\n", " ",
    "é", "a/b", ".", "..", "{}", "{job_id}", "%2F", "\0", "not-found", "init.js", "sleep",
    "a" * 5_000,
]  # fmt: skip
FIRST: Final = [
    "jobs", "tasks", "problems", "docs", "events", "stats", "livez", "readyz", "metrics", "backup",
    "openapi.json", "Jobs", "jobs\n", "", "nope",
]  # fmt: skip
ENDS: Final = [
    "/result",
    "/events",
    "/logs",
    "/stack",
    "/",
    "//",
    "\n",
    "/result/",
    "/result\n",
    "/x",
]
FIELDS: Final = [
    ("prefer", "wait=1"), ("prefer", "return=minimal, wait=0"), ("prefer", "\xff"),
    ("if-none-match", '"1"'), ("if-none-match", 'W/"1m", "2"'), ("if-none-match", ""),
    ("if-none-match", "*"), ("if-match", '"1"'), ("if-match", '"2"'), ("if-match", ""),
    ("content-type", "application/json"), ("content-type", "text/plain"), ("content-type", ""),
    ("content-type", 'Application/JSON; charset="UTF-8"'), ("content-encoding", "gzip"),
    ("content-length", "99999999999"), ("content-length", "x"), ("idempotency-key", '"k"'),
    ("idempotency-key", ""), ("idempotency-key", "a b"), ("traceparent", "00-" + "0" * 32),
    ("authorization", "Bearer none"), ("last-event-id", "1"), ("last-event-id", "x"),
    ("host", "evil.example"), ("accept", "*/*"),
]  # fmt: skip
BODIES: Final = [
    SENT, b"", b"{}", b"[]", b"{", b'{"task":"x","x":1}', b'{"task":"x","task":"x"}', b"\xff",
    b'{"task":1,"delay":-1}', b'{"copy_of":"none"}', b'{"run_at":"2027-01-31T09:30:00Z"}', None,
]  # fmt: skip
QUERIES: Final = [
    b"", b"", b"validate_only=true", b"validate_only=x", b"x=1",
    b"limit=1&limit=2", b"limit=0", b"cursor=x", b"status=running&status=x", b"%ff", b"&", b"=",
]  # fmt: skip

paths = st.builds(lambda first: f"/{first}", st.sampled_from(FIRST)) | st.builds(
    lambda first, part, end: f"/{first}/{part}{end}",
    st.sampled_from(FIRST[:5]),
    st.sampled_from(PARTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.sampled_from(["", "", *ENDS]),
)
scopes = st.builds(
    lambda method, path, root, query, fields: {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": root[0] + path,
        "raw_path": (root[0] + path).encode(),
        "root_path": root[1],
        "query_string": query,
        "headers": [
            *((name.encode(), value.encode("latin-1")) for name, value in fields),
            (b"x-request-id", b"one"),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    },
    st.sampled_from(["GET"] * 4 + ["POST"] * 3 + ["DELETE", "HEAD", "PUT", "OPTIONS", "get", ""]),
    paths,
    st.sampled_from([("", "")] * 4 + [("/prefix", "/prefix"), ("", "/prefix"), ("/jobs", "/jobs")]),
    st.sampled_from(QUERIES),
    st.lists(st.sampled_from(FIELDS), max_size=4) | st.just([("content-type", "application/json")]),
)


async def answer_of(app: ASGIApp, scope: Scope, body: bytes | None) -> Any:
    """Status, header fields and body of the answer; the caller is gone where `body` is None."""
    sent: list[Message] = []
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        if body is None:
            return {"type": "http.disconnect"}
        if not left:
            await asyncio.Event().wait()
        return left.pop()

    await app({**scope, "headers": list(scope["headers"])}, receive, send)
    if not sent:
        return None
    start, *rest = sent
    return start["status"], sorted(start["headers"]), b"".join(m.get("body", b"") for m in rest)


def by_fastapi(app: Service) -> ASGIApp:
    """The same service without a short way."""
    state: ApiState = app.state.api
    return Front(state, (), partial(FastAPI.__call__, app))


def require_alike(app: Service, scope: Scope, body: bytes | None) -> None:
    """Fail unless both ways give the same answer."""

    async def both() -> None:
        assert await answer_of(app, scope, body) == await answer_of(by_fastapi(app), scope, body)

    asyncio.run(both())


def service(folder: Path, engine: RefusingEngine) -> Service:
    """A service with its keys in a folder."""
    return build_app(Settings.model_construct(data_dir=folder), TaskRegistry(), engine)


alike = settings(max_examples=250, derandomize=True)


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service that wants no keys."""
    return service(tmp_path_factory.mktemp("free"), ENGINE)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service with a key."""
    folder = tmp_path_factory.mktemp("guarded")
    KeyFile(folder).add("somebody")
    return service(folder, ENGINE)


@alike
@given(scope=scopes, body=st.sampled_from(BODIES))
def test_both_ways_answer_alike(free: Service, scope: Scope, body: bytes | None) -> None:
    """Whatever is asked, the front's answer is FastAPI's, in status, header fields and body."""
    require_alike(free, scope, body)


@alike
@given(scope=scopes, body=st.sampled_from(BODIES))
def test_both_ways_want_a_key(guarded: Service, scope: Scope, body: bytes | None) -> None:
    """Whoever is asked for a key is asked for it on both ways."""
    require_alike(guarded, scope, body)


@pytest.mark.parametrize("first", FIRST[:5])
def test_every_odd_path_leads_to_the_same(free: Service, first: str) -> None:
    """No part of a path, however odd, leads to another answer."""

    async def all_of_them() -> None:
        for part in PARTS:
            for end in ("", *ENDS):
                scope = scope_of("GET", f"/{first}/{part}{end}")
                answers = [await answer_of(app, scope, b"") for app in (free, by_fastapi(free))]
                assert answers[0] == answers[1], scope["path"]

    asyncio.run(all_of_them())


class UnknownError(errors.JobsError):
    """One that no table has."""


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownTask("slep", ["sleep"]),
        errors.InvalidParams([errors.ParamError("/a", "b", "c")]),
        errors.JobExpired(UNKNOWN),
        errors.KeyReused(UNKNOWN),
        errors.QueueFull(5, 5),
        errors.ShuttingDown(),
        UnknownError(),
        ValueError("a defect"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/jobs"),
        ("GET", f"/jobs/{JOB_ID}"),
        ("DELETE", f"/jobs/{JOB_ID}"),
        ("GET", "/jobs"),
    ],
)
def test_both_ways_make_the_same_problem(
    tmp_path: Path, error: Exception, method: str, path: str
) -> None:
    """An error of the engine, known or a defect, is the same problem on both ways."""
    scope = scope_of(method, path, [(b"content-type", b"application/json")])
    require_alike(service(tmp_path, RefusingEngine(error)), scope, SENT)


def scope_of(method: str, path: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> Scope:
    """A request without anything odd."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [*headers, (b"x-request-id", b"one")],
    }


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Fails when it is asked."""
    raise AssertionError(f"{scope['method']} {scope['path']} went the long way")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/jobs"),
        ("GET", "/jobs"),
        ("GET", f"/jobs/{JOB_ID}"),
        ("DELETE", f"/jobs/{JOB_ID}"),
        ("GET", f"/jobs/{JOB_ID}/result"),
        ("GET", f"/jobs/{JOB_ID}/events"),
        ("GET", "/tasks/none"),
        ("GET", "/livez"),
        ("GET", "/problems/not-found"),
        ("GET", "/docs"),
        ("GET", "/docs/swagger-ui.css"),
    ],
)
async def test_frequent_requests_go_the_short_way(tmp_path: Path, method: str, path: str) -> None:
    """The routes of jobs are reached without FastAPI."""
    app = service(tmp_path, ENGINE)
    front = Front(app.state.api, app.routes, nowhere)
    assert await answer_of(front, scope_of(method, path), SENT) is not None


async def test_requests_leave_no_garbage(tmp_path: Path) -> None:
    """What sends a whole reply leads back to the request's scope, and so is not left in it."""
    sent: list[Reply] = []

    def send_whole(reply: Reply) -> bool:
        sent.append(reply)
        return True

    async def send(message: Message) -> None:
        raise AssertionError("it was sent before")

    scope = {**scope_of("GET", "/livez"), WHOLE: send_whole}
    await service(tmp_path, ENGINE)(scope, Request(scope).receive, send)
    assert [reply.status_code for reply in sent] == [200]
    assert WHOLE not in scope


def declared(router: APIRouter, path: str, endpoint: Any, **options: Any) -> None:
    """Declare a route for GET, PUT and HEAD."""
    router.add_api_route(path, endpoint, methods=["GET", "PUT", "HEAD"], **options)


async def _plain(request: Request) -> Response:
    return Response(f"{request.method} {request.url.path}")


async def _part(name: str, request: Request) -> Response:
    return Response(f"{request.method} {name} of {request.url.path}")


async def _other(name: str) -> Response:
    return Response(f"other than {name}")


async def _number(name: int) -> Response:
    return Response(str(name))


async def _short(name: Annotated[str, PathParam(max_length=2)]) -> Response:
    return Response(name)


async def _asks(request: Request, q: str = "none") -> Response:
    return Response(q)


async def _model(request: Request) -> dict[str, str]:
    return {"path": request.url.path}


def _thread(request: Request) -> Response:
    return Response("from a thread")


async def _leaves(request: Request) -> Response:
    raise ClientDisconnect


def _refuse() -> None:
    raise ValueError("refused")


def every_kind(app: FastAPI) -> None:
    """Declare routes of all kinds, and some that compete for a path."""
    router = APIRouter()
    declared(router, "/plain", _plain)
    declared(router, "/plain", _model)
    declared(router, "/part/{name}", _part)
    declared(router, "/part/{name}", _other)
    declared(router, "/part/{name}/end", _part)
    declared(router, "/rival/new", _plain)
    declared(router, "/rival/{name}", _part)
    declared(router, "/late/{name}", _part)
    declared(router, "/late/new", _plain)
    declared(router, "/rest/{name:path}", _part)
    declared(router, "/number/{name}", _number)
    declared(router, "/short/{name}", _short)
    declared(router, "/asks", _asks)
    declared(router, "/model", _model)
    declared(router, "/thread", _thread)
    declared(router, "/leaves", _leaves)
    declared(router, "/refused", _plain, dependencies=[Depends(_refuse)])
    app.include_router(router)
    refused = APIRouter()
    declared(refused, "/guarded", _plain)
    app.include_router(refused, dependencies=[Depends(_refuse)])
    app.mount("/below", FastAPI())


KINDS: Final = [
    "/plain", "/part/a", "/part/a/end", "/part/a/end/", "/rival/new", "/rival/a", "/late/new",
    "/late/a", "/rest/a", "/rest/a/b", "/number/1", "/number/a", "/short/a", "/short/abc",
    "/asks", "/model", "/thread", "/refused", "/guarded", "/below", "/below/docs", "/a/new",
    "/part/new",
]  # fmt: skip


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("rival", [False, True])
def test_what_needs_fastapi_goes_there(tmp_path: Path, method: str, path: str, rival: bool) -> None:
    """A dependency, a number, a model or a rival for the path: FastAPI's answer it is."""
    app = service(tmp_path, ENGINE)
    every_kind(app)
    if rival:
        anything = APIRouter()
        declared(anything, "/{name}/new", _other)
        app.router.routes[:0] = anything.routes
    require_alike(app, scope_of(method, path), b"")


async def test_nobody_is_answered_who_is_gone(tmp_path: Path) -> None:
    """A route that finds its caller gone leaves it at that."""
    app = service(tmp_path, ENGINE)
    every_kind(app)
    front = Front(app.state.api, app.routes, nowhere)
    assert await answer_of(front, scope_of("GET", "/leaves"), b"") is None


async def test_half_a_submission_is_none(free: Service) -> None:
    """A caller who leaves before the end of the body is not answered, and no job is made."""
    scope = scope_of("POST", "/jobs", [(b"content-type", b"application/json")])
    assert await answer_of(free, scope, None) is None


def test_its_requests_are_as_others() -> None:
    """Whatever a request of FastAPI's has from its beginning, one of the front's has, too."""
    scope, receive, send = scope_of("GET", "/"), empty_receive, empty_send
    theirs, ours = Request(scope, receive, send), _Request(scope, receive, send)
    assert {name: getattr(ours, name) for name in vars(theirs)} == vars(theirs)
