"""Limits of each owner, and of all who wait."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.keys import KeyFile
from tests.security.callers import TASKS, Callers, submit
from tests.support.server import Server


def head_of(client: httpx.Client) -> int:
    """The status of a stream that is left at once."""
    with client.stream("GET", "/events") as answer:
        return answer.status_code


@pytest.fixture
def start(start_server: Callable[..., Server], tmp_path: Path) -> Iterator[Callable[..., Callers]]:
    """Starts a server with keys and limits: `start(AWAITD_OWNER_RATE="1")`."""
    opened: list[Callers] = []

    def start(**settings: str) -> Callers:
        KeyFile(tmp_path / "data").add("ops")
        server = start_server(AWAITD_TASKS=TASKS, AWAITD_SHUTDOWN_GRACE="0", **settings)
        opened.append(Callers(server))
        return opened[-1]

    yield start
    for callers in opened:
        callers.close()


def test_rate(start: Callable[..., Callers]) -> None:
    """Who submits faster than may be is told when to come again; others are not held up."""
    callers = start(AWAITD_OWNER_RATE="0.01")
    body = {"task": "sleep", "params": {"seconds": 0}}
    assert callers("anna").post("/jobs", json=body).status_code == 202
    early = callers("anna").post("/jobs", json=body)
    assert (early.status_code, early.json()["type"]) == (429, "/problems/rate-limited")
    assert early.json()["limit"] == 0.01
    assert 90 < int(early.headers["retry-after"]) <= 100
    assert callers("bob").post("/jobs", json=body).status_code == 202
    [job] = callers("anna").get("/jobs").json()["items"]
    again = callers("anna").post(f"{job['links']['self']}/deliveries")
    assert (again.status_code, again.json()["type"]) == (429, "/problems/rate-limited")


def test_a_replay_is_no_submission(start: Callable[..., Callers]) -> None:
    """What is repeated with its key is found again, whatever the rate."""
    callers = start(AWAITD_OWNER_RATE="0.01")
    body, headers = {"task": "sleep", "params": {"seconds": 0}}, {"Idempotency-Key": "k"}
    assert callers("anna", "reader").post("/jobs", json=body).status_code == 403
    first = callers("anna").post("/jobs", json=body, headers=headers)
    assert first.status_code == 202
    again = callers("anna").post("/jobs", json=body, headers=headers)
    assert (again.headers["idempotent-replayed"], again.json()["id"]) == (
        "true",
        first.json()["id"],
    )
    assert callers("anna").post("/jobs", json=body).status_code == 429


def test_running(start: Callable[..., Callers]) -> None:
    """An owner's jobs over its limit wait, and let those of others pass."""
    callers = start(AWAITD_OWNER_MAX_RUNNING="2")
    jobs = [submit(callers("anna")) for _ in range(4)]
    assert [job["status"] for job in jobs] == ["running"] * 2 + ["pending"] * 2
    assert submit(callers("bob"))["status"] == "running"
    callers("anna").delete(f"/jobs/{jobs[0]['id']}", headers={"Prefer": "wait=10"})
    third, fourth = (f"/jobs/{job['id']}" for job in jobs[2:])
    while callers("anna").get(third).json()["status"] != "running":
        pass
    assert callers("anna").get(fourth).json()["attempt"] == 0


def test_pending(start: Callable[..., Callers]) -> None:
    """An owner with as many pending jobs as may be gets 429 with that limit; others do not."""
    callers = start(AWAITD_OWNER_MAX_PENDING="2")
    for _ in range(2):
        submit(callers("anna"), delay=3600)
    full = callers("anna").post("/jobs", json={"task": "never_end", "delay": 3600})
    assert (full.status_code, full.json()["type"]) == (429, "/problems/queue-full")
    assert (full.json()["depth"], full.json()["limit"]) == (2, 2)
    assert "retry-after" in full.headers
    assert submit(callers("bob"), delay=3600)["status"] == "pending"
    assert submit(callers("anna"))["status"] == "running"


def test_limits_after_a_restart(start: Callable[..., Callers]) -> None:
    """The jobs of an owner count after a restart as before."""
    callers = start(AWAITD_OWNER_MAX_PENDING="2", AWAITD_OWNER_MAX_RUNNING="1")
    for _ in range(2):
        submit(callers("anna"), delay=3600)
    key = callers("anna").headers["Authorization"]
    callers.server.kill()
    callers.server.start()
    headers = {"Authorization": key}
    body = {"task": "never_end", "delay": 3600}
    again = callers.server.client.post("/jobs", json=body, headers=headers)
    assert again.json()["type"] == "/problems/queue-full"


def test_streams(start: Callable[..., Callers]) -> None:
    """Over the limit of streams comes 429; one that was left makes room."""
    callers = start(AWAITD_MAX_STREAMS="1")
    client = callers("anna", "reader")
    with client.stream("GET", "/events") as answer:
        assert answer.status_code == 200
        full = client.get("/events")
        assert (full.status_code, full.json()["type"]) == (429, "/problems/too-many-waiters")
        assert full.json()["limit"] == 1
    while (status := head_of(client)) == 429:
        pass
    assert status == 200


def until_let_in(client: httpx.Client, path: str) -> httpx.Response:
    """What a caller is answered that waits, and comes again while others do."""
    while (answer := client.get(path, headers={"Prefer": "wait=50"})).status_code == 429:
        pass
    return answer


def test_waiters(start: Callable[..., Callers]) -> None:
    """Over the limit of waiting requests comes 429, before a job is made; polling goes on."""
    callers = start(AWAITD_MAX_WAITERS="1")
    client = callers("anna")
    job = submit(client)
    path, waiting = f"/jobs/{job['id']}", {"Prefer": "wait=50"}
    with ThreadPoolExecutor() as threads:
        waiter = threads.submit(until_let_in, client, path)
        while (full := client.get(path, headers={"Prefer": "wait=1"})).status_code == 200:
            pass
        assert (full.status_code, full.json()["type"]) == (429, "/problems/too-many-waiters")
        refused = client.post("/jobs", json={"task": "never_end"}, headers=waiting)
        assert refused.status_code == 429
        assert len(client.get("/jobs").json()["items"]) == 1
        assert client.get(path).status_code == 200
        client.delete(path)
        assert waiter.result().json()["status"] == "cancelled"
    assert client.get(path, headers=waiting).status_code == 200
