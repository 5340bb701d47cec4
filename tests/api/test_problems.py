import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.api.problem_types import PROBLEMS
from app.jobs import errors
from app.jobs.errors import JobsError
from app.jobs.registry import TaskRegistry
from app.main import build_app
from app.settings import Settings
from tests.support.app_server import serving
from tests.support.engines import RefusingEngine

JOB = "0199d2a0-7b1c-7000-8f3e-2a41c07de512"

REFUSALS: list[tuple[JobsError, int, str]] = [
    (errors.UnknownTask("slep", ["sleep"]), 422, "unknown-task"),
    (errors.InvalidParams([errors.ParamError("/a", "b", "c")]), 422, "invalid-params"),
    (errors.JobNotFound(UUID(JOB)), 404, "job-not-found"),
    (errors.JobExpired(UUID(JOB)), 410, "job-expired"),
    (errors.KeyReused(UUID(JOB)), 422, "idempotency-key-reused"),
    (errors.VersionMismatch(UUID(JOB)), 412, "precondition-failed"),
    (errors.QueueFull(5, 5), 429, "queue-full"),
    (errors.StoreFull(5, 5), 429, "store-full"),
    (errors.ShuttingDown(), 503, "shutting-down"),
    (errors.StoreUnavailable("the disk is full"), 503, "store-unavailable"),
    (errors.NoBackup("use pg_dump"), 501, "no-backup"),
    (errors.WorkerSilent(UUID(JOB), 2.0), 503, "worker-silent"),
]


@pytest.fixture(scope="module")
def refusing() -> Iterator[tuple[RefusingEngine, httpx.Client]]:
    """A client of a service whose engine refuses everything."""
    engine = RefusingEngine(NotImplementedError())
    app = build_app(Settings.model_construct(), TaskRegistry(), engine)
    with serving(app) as client:
        yield engine, client


@pytest.mark.parametrize("slug", PROBLEMS)
def test_every_problem_has_a_page(client: httpx.Client, slug: str) -> None:
    """The `type` of each problem leads to a page with its meaning and what to do."""
    answer = client.get(f"/problems/{slug}")
    page = answer.json()
    assert answer.status_code == 200
    assert (page["type"], page["status"]) == (f"/problems/{slug}", PROBLEMS[slug].status)
    assert page["title"]
    assert page["meaning"]
    assert page["remedy"]


def test_other_pages_are_404(client: httpx.Client) -> None:
    """A slug that there is not leads nowhere."""
    answer = client.get("/problems/none")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


def test_a_problem_is_as_rfc_9457_has_it(client: httpx.Client) -> None:
    """A problem has type, title, status, detail and instance, and no cache keeps it."""
    answer = client.get("/jobs/none")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "type": "/problems/job-not-found",
        "title": "There is no such job",
        "status": 404,
        "detail": "there is no such job: the id is no UUID",
        "instance": "/jobs/none",
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/jobs", {"GET", "HEAD", "POST"}),
        ("DELETE", "/jobs", {"GET", "HEAD", "POST"}),
        ("OPTIONS", "/jobs", {"GET", "HEAD", "POST"}),
        ("POST", f"/jobs/{JOB}", {"GET", "HEAD", "DELETE"}),
        ("PATCH", f"/jobs/{JOB}", {"GET", "HEAD", "DELETE"}),
        ("DELETE", f"/jobs/{JOB}/result", {"GET", "HEAD"}),
        ("POST", "/tasks", {"GET", "HEAD"}),
        ("PUT", "/tasks/sleep", {"GET", "HEAD"}),
        ("TRACE", "/livez", {"GET", "HEAD"}),
        ("POST", "/docs", {"GET", "HEAD"}),
        ("DELETE", "/openapi.json", {"GET", "HEAD"}),
    ],
)
def test_another_method_is_405_with_all_that_are_allowed(
    client: httpx.Client, method: str, path: str, allowed: set[str]
) -> None:
    """405 names every method of the path, whichever route has it."""
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["type"]) == (405, "/problems/method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["/nope", "/jobs/", "/jobs%2F", "/livez/x", "/%00"])
def test_another_path_is_404(client: httpx.Client, path: str) -> None:
    """A path that leads nowhere is `not-found`, for every method, and nothing redirects."""
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        answer = client.request(method, path)
        assert answer.status_code == 404
        assert answer.json()["type"] == "/problems/not-found"


def test_the_instance_is_a_path_with_escapes(client: httpx.Client) -> None:
    """What a path holds of spaces, quotes and control characters is escaped in `instance`."""
    answer = client.get("/a%20b%22%0a<é>")
    assert answer.json()["instance"] == "/a%20b%22%0A%3C%C3%A9%3E"


def concrete(kind: type[JobsError]) -> set[type[JobsError]]:
    """The errors below a base that are raised themselves."""
    below = kind.__subclasses__()
    return {kind} if not below else set().union(*(concrete(each) for each in below))


def test_every_error_is_in_the_table() -> None:
    """Whatever an engine may raise at a request is a problem."""
    raised = concrete(errors.CallerError) | concrete(errors.ServiceError)
    assert {type(error) for error, *_ in REFUSALS} == raised


@pytest.mark.parametrize(("error", "status", "slug"), REFUSALS, ids=lambda value: str(value)[:30])
def test_what_the_engine_raises_is_a_problem(
    refusing: tuple[RefusingEngine, httpx.Client], error: JobsError, status: int, slug: str
) -> None:
    """Each error has its status and slug, and those that may pass have `Retry-After`."""
    engine, client = refusing
    engine.error = error
    for method, path in (("GET", f"/jobs/{JOB}"), ("DELETE", f"/jobs/{JOB}")):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")
        assert ("retry-after" in answer.headers) is isinstance(error, errors.ServiceError)


@pytest.mark.parametrize(
    ("error", "members"),
    [
        (errors.UnknownTask("slep", ["sleep"]), {"close": ["sleep"]}),
        (errors.KeyReused(UUID(JOB)), {"job": f"/jobs/{JOB}"}),
        (errors.VersionMismatch(UUID(JOB)), {"job": f"/jobs/{JOB}"}),
        (errors.WorkerSilent(UUID(JOB), 2.0), {"job": f"/jobs/{JOB}"}),
        (errors.QueueFull(6, 5), {"depth": 6, "limit": 5}),
        (errors.StoreFull(6, 5), {"size": 6, "limit": 5}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_problem_has_members_of_its_own(
    refusing: tuple[RefusingEngine, httpx.Client], error: JobsError, members: dict[str, Any]
) -> None:
    """What a program needs to know stands in members of the problem, not in its text alone."""
    engine, client = refusing
    engine.error = error
    problem = client.post("/jobs", json={"task": "sleep"}).json()
    assert {name: problem.get(name) for name in members} == members


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), KeyError(b"secret")])
def test_a_defect_is_500_without_a_traceback(
    refusing: tuple[RefusingEngine, httpx.Client],
    error: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A defect is `internal-error`: the client learns nothing of it, the log has all."""
    engine, client = refusing
    engine.error = error
    answer = client.get("/jobs", headers={"X-Request-ID": "asked"})
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal-error")
    assert answer.headers["x-request-id"] == "asked"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    (record,) = [record for record in caplog.records if record.name == "app.api.errors"]
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_not_ready_is_503_with_the_reason(
    refusing: tuple[RefusingEngine, httpx.Client],
) -> None:
    """When the store fails the service is not ready, says why, and when to ask again."""
    engine, client = refusing
    engine.error = errors.StoreUnavailable("the disk is full")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert (answer.json()["status"], answer.json()["reason"]) == ("not-ready", "the disk is full")
    assert "retry-after" in answer.headers


def test_a_problem_is_one_line_of_json(client: httpx.Client) -> None:
    """Problems are compact JSON in UTF-8."""
    answer = client.get("/jobs/none")
    assert json.dumps(answer.json(), separators=(",", ":"), ensure_ascii=False) == answer.text
