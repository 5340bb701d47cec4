"""A server with jobs of every kind is killed and started again on the same data directory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server

TASKS = "tests.support.tasks_for_tests"
KEYED = {"task": "never_end", "params": {}, "labels": {"sent": "once"}}


@dataclass
class Crash:
    """The jobs before the crash by name, the folder of their files, and the server after it."""

    server: Server
    folder: Path
    before: dict[str, Any] = field(default_factory=dict)

    def submit(self, name: str, task: str, **options: Any) -> None:
        answer = self.server.client.post("/jobs", json={"task": task, **options})
        assert answer.status_code == 202, answer.text
        self.before[name] = answer.json()

    def after(self, name: str, wait: int = 0) -> Any:
        return self.server.job(self.before[name]["id"], wait=wait)

    def runs(self, name: str) -> int:
        return (self.folder / name).read_text().count("\n")


@pytest.fixture(scope="module")
def crash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crash]:
    """A crash in the middle of everything."""
    folder = tmp_path_factory.mktemp("crash")
    with Server(folder, AWAITD_TASKS=TASKS, AWAITD_SHUTDOWN_GRACE="0") as server:
        crash = Crash(server, folder)
        client = server.client
        crash.submit("completed", "count_runs", params={"path": str(folder / "completed")})
        crash.submit("cancelled", "return_when_cancelled", params={"value": 7})
        crash.submit("delayed", "never_end", delay=3600, priority=5, labels={"a": "b"})
        crash.submit("due later", "count_runs", delay=1.5, params={"path": str(folder / "later")})
        crash.submit("at its limit", "one_at_a_time", params={"path": str(folder / "gate")})
        crash.submit("next", "one_at_a_time", params={"path": str(folder / "gate")})
        crash.submit("last", "one_at_a_time", params={"path": str(folder / "gate")})
        crash.submit("once", "wait_after_line", params={"path": str(folder / "once")})
        crash.submit("twice", "wait_in_first_attempt", params={"path": str(folder / "twice")})
        crash.submit("stopping", "ignore_cancel", params={"path": str(folder / "never")})
        answer = client.post("/jobs", json=KEYED, headers={"Idempotency-Key": "once"})
        crash.before["keyed"] = answer.json()
        for name in ("stopping", "cancelled"):
            client.delete(crash.before[name]["links"]["self"])
        for name in ("completed", "cancelled"):
            crash.before[name] = crash.after(name, wait=10)
        for name in ("once", "twice"):
            while not (folder / name).exists():
                pass
        crash.before["delayed"] = crash.after("delayed")
        server.kill()
        (folder / "gate").touch()
        server.start()
        yield crash


@pytest.mark.parametrize("name", ["completed", "cancelled"])
def test_finished_jobs_are_as_they_were(crash: Crash, name: str) -> None:
    """A finished job and its result survive, to the last member."""
    before = crash.before[name]
    assert before["done"]
    assert crash.after(name) == before
    result = crash.server.client.get(before["links"]["result"])
    assert result.json() == before["result"]


def test_delayed_jobs_are_as_they_were(crash: Crash) -> None:
    """A job that is not due yet is pending as before."""
    assert crash.after("delayed") == crash.before["delayed"]


def test_delayed_jobs_start_when_they_are_due(crash: Crash) -> None:
    """A job that came due after the crash runs, once, and not before its time."""
    after = crash.after("due later", wait=10)
    assert (after["status"], after["result"]) == ("completed", 1)
    assert after["run_at"] == crash.before["due later"]["run_at"] <= after["started_at"]


def test_pending_jobs_run_in_order(crash: Crash) -> None:
    """Jobs that waited for a slot run in the order in which they came."""
    following, last = (crash.after(name, wait=10) for name in ("next", "last"))
    assert (following["status"], last["status"]) == ("completed", "completed")
    assert following["finished_at"] <= last["started_at"]


def test_a_running_job_without_retries_has_failed(crash: Crash) -> None:
    """A job that ran and may not be repeated is failed with `interrupted`: it never runs twice."""
    after = crash.after("once")
    assert (after["status"], after["error"]["type"]) == ("failed", "interrupted")
    assert (after["error"]["exception"], after["attempt"]) == (None, 1)
    assert after["attempts"][0]["outcome"] == "failed"
    assert crash.runs("once") == 1


def test_a_running_job_with_retries_runs_again(crash: Crash) -> None:
    """A job that may be repeated has lost one attempt and makes the next."""
    after = crash.after("twice", wait=10)
    assert (after["status"], after["result"], after["attempt"]) == ("completed", 2, 2)
    first, second = after["attempts"]
    assert (first["number"], first["outcome"]) == (1, "failed")
    assert first["error"]["type"] == "interrupted"
    assert (second["number"], second["outcome"]) == (2, "completed")
    assert crash.runs("twice") == 2


def test_an_accepted_cancel_is_kept(crash: Crash) -> None:
    """A job that was stopping is cancelled: it does not start again."""
    after = crash.after("stopping")
    assert (after["status"], after["error"]) == ("cancelled", None)
    assert after["cancel_requested_at"] is not None
    assert after["attempt"] == 1


def test_keys_are_kept(crash: Crash) -> None:
    """A key finds its job after the crash, and refuses another body."""
    headers = {"Idempotency-Key": "once"}
    again = crash.server.client.post("/jobs", json=KEYED, headers=headers)
    assert again.status_code == 200
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["id"] == crash.before["keyed"]["id"]
    assert again.json()["error"]["type"] == "interrupted"
    other = crash.server.client.post("/jobs", json=KEYED | {"priority": 1}, headers=headers)
    assert other.json()["type"] == "/problems/idempotency-key-reused"


def test_the_list_is_as_it_was(crash: Crash) -> None:
    """All jobs are in the list, in the order in which they were submitted."""
    items = crash.server.client.get("/jobs?limit=500").json()["items"]
    assert [item["id"] for item in items] == [job["id"] for job in reversed(crash.before.values())]


def test_jobs_wait_for_a_task_that_is_gone(crash: Crash) -> None:
    """Without their task pending jobs stay pending and are counted; finished ones are readable."""
    server = crash.server
    for name in ("due later", "next", "last", "twice"):
        assert crash.after(name, wait=10)["done"]
    server.terminate()
    server.settings = {"AWAITD_TASKS": "app.tasks", "AWAITD_SHUTDOWN_GRACE": "0"}
    server.start()
    assert crash.after("delayed") == crash.before["delayed"]
    assert crash.after("completed") == crash.before["completed"]
    ready = server.client.get("/readyz")
    assert (ready.status_code, ready.json()["unknown_tasks"]) == (200, {"never_end": 1})
    cancelled = server.client.delete(crash.before["delayed"]["links"]["self"])
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
