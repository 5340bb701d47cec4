"""Every route with every kind of key: the whole matrix."""

import re
from typing import Any, Final

import httpx
import pytest

from tests.security.callers import SCOPES, Callers, submit

KINDS = (*SCOPES, "nobody")

READERS = {"all", "reader", "admin"}
SUBMITTERS = {"all", "submitter", "sleeper", "admin"}
ANYBODY = set(SCOPES)
EVERYBODY = {*SCOPES, "nobody"}

ALLOWED: Final = {
    "POST /jobs": SUBMITTERS,
    "GET /jobs": READERS,
    "GET /jobs/{job_id}": READERS,
    "GET /jobs/{job_id}/result": READERS,
    "GET /jobs/{job_id}/events": READERS,
    "GET /jobs/{job_id}/logs": READERS,
    "GET /jobs/{job_id}/stack": {"admin"},
    "DELETE /jobs/{job_id}": {"all", "canceller", "admin"},
    "POST /jobs/{job_id}/deliveries": READERS & SUBMITTERS,
    "GET /events": READERS,
    "GET /metrics": {"admin"},
    "GET /backup": {"admin"},
    "GET /tasks": ANYBODY,
    "GET /tasks/{name}": ANYBODY,
    "GET /stats": READERS,
    "GET /livez": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /problems/{slug}": EVERYBODY,
    "GET /docs": EVERYBODY,
    "GET /docs/init.js": EVERYBODY,
    "GET /openapi.json": EVERYBODY,
}
"""Who gets past the door of each route."""

SLEEP: Final[dict[str, Any]] = {"task": "sleep", "params": {"seconds": 0}}


@pytest.fixture(scope="module")
def job(callers: Callers) -> Any:
    """A job that an owner with every kind of key has."""
    return submit(callers("anna"))


def ask(client: httpx.Client, route: str, job: Any) -> int:
    """The status that a route answers with; a stream is left after its head."""
    method, path = route.split()
    path = path.format(job_id=job["id"], name="sleep", slug="forbidden")
    with client.stream(method, path, json=SLEEP if method == "POST" else None) as answer:
        if answer.status_code in (401, 403):
            answer.read()
        return answer.status_code


def test_the_table_has_every_route(callers: Callers) -> None:
    """No route of the document is missing here."""
    paths = callers.server.client.get("/openapi.json").json()["paths"]
    routes = {f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs}
    assert routes <= ALLOWED.keys()


@pytest.mark.parametrize("route", ALLOWED)
@pytest.mark.parametrize("kind", KINDS)
def test_every_route_with_every_key(callers: Callers, job: Any, route: str, kind: str) -> None:
    """A key opens what its scopes say; without a key only what is open is open."""
    client = callers("", "") if kind == "nobody" else callers("anna", kind)
    status = ask(client, route, job)
    if kind in ALLOWED[route]:
        assert status not in (401, 403)
    else:
        assert status == (401 if kind == "nobody" else 403)


@pytest.mark.parametrize("route", [r for r in ALLOWED if ALLOWED[r] != EVERYBODY])
def test_the_document_says_which_routes_ask(callers: Callers, route: str) -> None:
    """A route that asks for a key says so in the document, an open one says that it does not."""
    document = callers.server.client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    method, path = route.split()
    operation = document["paths"][path][method.lower()]
    assert "security" not in operation
    assert {"401", "403"} <= operation["responses"].keys()
    assert document["paths"]["/livez"]["get"]["security"] == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer x",
        "Basic YTpi",
        "awaitd_00000000_" + "A" * 43,
        "Bearer awaitd_00000000_" + "A" * 43,
        "Bearer awaitd_00000000_" + "A" * 10_000,
        "Bearer ünïcode",
    ],
)
def test_what_is_no_key(callers: Callers, value: str) -> None:
    """Whatever is sent in place of a key is answered with 401 and a challenge."""
    with callers.client({}) as client:
        raw = value.encode("latin-1", "replace")
        answer = client.get("/jobs", headers={b"Authorization": raw})
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer ")


def test_a_key_is_sent_once(callers: Callers) -> None:
    """Two Authorization lines are refused, although one of them is a key."""
    key = callers("anna").headers["Authorization"]
    lines = [("Authorization", key), ("Authorization", key)]
    with callers.client({}) as client:
        assert client.get("/jobs", headers=lines).status_code == 401


def test_a_key_comes_as_a_bearer_token(callers: Callers) -> None:
    """A key under another scheme is none."""
    key = callers("anna").headers["Authorization"].split()[1]
    for value in (f"Basic {key}", f"Token {key}", key):
        with callers.client({"Authorization": value}) as client:
            assert client.get("/jobs").status_code == 401


def test_a_changed_key_is_none(callers: Callers) -> None:
    """A key with another last character is refused."""
    key = callers("anna").headers["Authorization"]
    other = key[:-1] + ("B" if key[-1] != "B" else "C")
    with callers.client({"Authorization": other}) as client:
        assert client.get("/jobs").status_code == 401


def test_the_scheme_has_no_case(callers: Callers) -> None:
    """`bearer` is as good as `Bearer`."""
    key = callers("anna").headers["Authorization"].replace("Bearer", "bEARER")
    with callers.client({"Authorization": key}) as client:
        assert client.get("/jobs").status_code == 200


def test_never_in_a_url(callers: Callers) -> None:
    """A key in the query is not looked at."""
    key = callers("anna").headers["Authorization"].split()[1]
    with callers.client({}) as client:
        for name in ("key", "api_key", "access_token", "token"):
            assert client.get("/jobs", params={name: key}).status_code == 401


def test_submit_of_one_task(callers: Callers) -> None:
    """A key for one task submits that one, by name or as a copy, and no other."""
    client = callers("anna", "sleeper")
    slept, other = submit(callers("anna"), **SLEEP), submit(callers("anna"))
    assert submit(client, copy_of=slept["id"], task="sleep")["task"] == "sleep"
    assert client.post("/jobs", json={"copy_of": slept["id"]}).status_code == 202
    for body in ({"task": "never_end"}, {"copy_of": other["id"]}, {"task": "unknown"}):
        answer = client.post("/jobs?validate_only=true", json=body)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
        assert answer.json()["scope"].startswith("submit:")


def test_who_may_not_read_is_shown_the_summary(callers: Callers) -> None:
    """A submission and a cancel answer without params and result where the key is not to read."""
    body = SLEEP | {"labels": {"a": "b"}}
    wait = {"Prefer": "wait=10"}
    done = callers("anna", "submitter").post("/jobs", json=body, headers=wait)
    assert (done.status_code, done.json()["status"]) == (200, "completed")
    assert not {"params", "result", "attempts", "webhook"} & done.json().keys()
    again = callers("anna", "canceller").delete(f"/jobs/{done.json()['id']}")
    assert (again.status_code, "result" in again.json()) == (200, False)
    assert "result" in callers("anna").delete(f"/jobs/{done.json()['id']}").json()


def test_a_copy_under_another_name(callers: Callers) -> None:
    """Who may submit one task cannot take the params of another's job along."""
    other = submit(callers("anna"), "echo", params={"value": "of another task"})
    body = {"copy_of": other["id"], "task": "sleep"}
    assert callers("anna", "sleeper").post("/jobs", json=body).status_code == 403


def test_nothing_of_a_key_is_told(callers: Callers) -> None:
    """No answer and no log line has a key or its hash in it."""
    secrets = [c.headers.get("Authorization", "")[7:] for c in callers.clients.values()]
    kept = (callers.server.folder / "data" / "keys.json").read_text()
    hashes = re.findall(r'"sha256": "(\w+)"', kept)
    assert hashes
    for secret in filter(None, secrets):
        assert secret not in callers.server.log
        assert secret not in kept
    for digest in hashes:
        assert digest not in callers.server.log
