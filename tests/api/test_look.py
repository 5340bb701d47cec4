from pathlib import Path
from typing import Any

import httpx

from tests.support.cluster import ENGINES
from tests.support.server import Server


def test_where_a_job_awaits(server: Server, client: httpx.Client, gate: Path) -> None:
    """The stack of a running job is its chain of awaits, outermost first."""
    job = server.running("report_progress", path=str(gate))
    answer = client.get(f"/jobs/{job['id']}/stack")
    assert answer.headers["cache-control"] == "no-store"
    frames = answer.json()["frames"]
    assert [frame["function"] for frame in frames[:2]] == ["report_progress", "until_there"]
    assert frames[0]["file"].endswith("tests/support/tasks_for_tests.py")
    assert not frames[0]["file"].startswith("/")


def test_a_finished_job_awaits_nowhere(server: Server, client: httpx.Client) -> None:
    """The stack of a job that is not running is 409 `job-not-running`."""
    job = server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    answer = client.get(f"/jobs/{job['id']}/stack")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/job-not-running")
    assert answer.json()["job"] == f"/jobs/{job['id']}"


def test_what_a_job_wrote(server: Server, client: httpx.Client) -> None:
    """The last log lines of a job can be read after its end, at most 200 of them."""
    job = server.submit("write_lines", count=250, headers={"Prefer": "wait=10"})
    items = client.get(f"/jobs/{job['id']}/logs").json()["items"]
    assert [item["message"] for item in items] == [f"line {n}" for n in range(50, 250)]
    assert {item["attempt"] for item in items} == {1}
    assert all(item["time"].endswith("Z") for item in items)


def test_a_job_that_wrote_nothing(server: Server, client: httpx.Client) -> None:
    """A job without log lines has an empty log."""
    job = server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    assert client.get(f"/jobs/{job['id']}/logs").json() == {"items": []}


def test_stats(server: Server, client: httpx.Client) -> None:
    """The figures count jobs by status, ends by time, and slots."""
    before = client.get("/stats").json()
    server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    after = client.get("/stats").json()
    assert after["jobs"]["completed"] > before["jobs"]["completed"]  # other tests' jobs end, too
    assert after["slots"]["limit"] == 1000
    assert (after["engine"] in ENGINES, after["workers"]) == (True, 1)
    assert 1 <= len(after["minutes"]) <= 60
    assert sum(period["ended"].get("completed", 0) for period in after["minutes"]) >= 1
    assert after["minutes"][-1]["durations"]["p50"] >= 0


def test_figures_of_a_task(server: Server, client: httpx.Client) -> None:
    """A task shows how many jobs it had, and how long they took."""
    server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    figures = client.get("/tasks/echo").json()["figures"]
    assert figures["jobs"]["completed"] >= 1
    assert figures["durations"]["p99"] >= figures["durations"]["p50"]


def test_retry_after_is_predicted(server: Server, client: httpx.Client) -> None:
    """`Retry-After` of a delayed job is when it should end, at most a minute."""
    server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    body: dict[str, Any] = {"task": "echo", "params": {"value": 1}, "delay": 30}
    assert client.post("/jobs", json=body).headers["retry-after"] in ("30", "31")
    body["delay"] = 3600
    assert client.post("/jobs", json=body).headers["retry-after"] == "60"


def test_dry_run(client: httpx.Client) -> None:
    """`validate_only=true` answers 204 or the problem, and creates nothing."""
    newest = client.get("/jobs?limit=1").json()["items"]
    good = {"task": "echo", "params": {"value": 1}}
    assert client.post("/jobs?validate_only=true", json=good).status_code == 204
    bad = client.post("/jobs?validate_only=true", json={"task": "echo"})
    assert bad.json()["errors"][0]["pointer"] == "/params/value"
    assert client.post("/jobs?validate_only=maybe", json=good).status_code == 400
    assert client.get("/jobs?limit=1").json()["items"] == newest


def test_copy(server: Server, client: httpx.Client) -> None:
    """`copy_of` submits a job's task and params again, with any field overridden."""
    original = server.submit("echo", value=[1])
    again = client.post("/jobs", json={"copy_of": original["id"]}, headers={"Prefer": "wait=10"})
    assert (again.json()["task"], again.json()["result"]) == ("echo", [1])
    assert again.json()["id"] != original["id"]
    other = client.post("/jobs", json={"copy_of": original["id"], "params": {"value": 2}})
    assert other.json()["params"] == {"value": 2}


def test_wrong_copies(client: httpx.Client) -> None:
    """A copy of what is no job is refused, and so is a submission of nothing."""
    assert client.post("/jobs", json={"copy_of": "x"}).json()["errors"][0]["pointer"] == "/copy_of"
    missing = client.post("/jobs", json={"copy_of": "0199d2a0-7b1c-7000-8f3e-2a41c07de512"})
    assert missing.json()["type"] == "/problems/job-not-found"
    assert client.post("/jobs", json={}).json()["errors"][0]["pointer"] == "/task"
