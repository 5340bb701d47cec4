"""What no server can prevent: a job that ends the process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.server import Server

TASKS = "tests.containment.tasks"


def end(server: Server, path: Path, *, once: bool) -> Any:
    """A job that has ended the process, once its submission was answered."""
    job = server.submit("end_process", once=once, path=str(path))
    path.with_suffix(".1").touch()
    assert server.wait() == 9
    return job


def test_after_an_exit_the_crash_rule_applies(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """Whatever ran has lost an attempt: it runs again or has failed. What waited still waits."""
    server = start_server(AWAITD_TASKS=TASKS)
    running = server.submit("wait_for", path=str(tmp_path / "never"))
    delayed = server.client.post("/jobs", json={"task": "behave", "delay": 3600}).json()
    job = end(server, tmp_path / "exit", once=True)
    server.start()
    after = server.job(running["id"])
    assert (after["status"], after["error"]["type"]) == ("failed", "interrupted")
    assert server.job(delayed["id"]) == delayed
    again = server.job(job["id"], wait=10)
    assert (again["status"], again["result"]) == ("completed", 2)
    assert again["attempts"][0]["error"]["type"] == "interrupted"


def test_a_job_that_always_exits_runs_out_of_attempts(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """It ends the process as often as it may start, and no more."""
    server = start_server(AWAITD_TASKS=TASKS)
    job = end(server, tmp_path / "exit", once=False)
    server.start()
    (tmp_path / "exit.2").touch()
    assert server.wait() == 9
    server.start()
    after = server.job(job["id"])
    assert (after["status"], after["error"]["type"]) == ("failed", "interrupted")
    assert after["attempt"] == 2
    assert server.submit("behave", headers={"Prefer": "wait=10"})["result"] == 1
