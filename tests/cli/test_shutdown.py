import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gates import open_gate, wait_for
from tests.support.raw import connect
from tests.support.server import Server, environment

TASKS = "tests.support.tasks_for_tests"


class Waiter(threading.Thread):
    """A client that waits up to 50 s for a job, and what it was answered."""

    def __init__(self, url: str, job: Any) -> None:
        super().__init__()
        self.answer: httpx.Response | None = None
        self._url = url + job["links"]["self"]
        self.start()
        time.sleep(0.1)  # it is waiting by now, or will be let go all the same

    def run(self) -> None:
        headers = {"Prefer": "wait=50"}
        self.answer = httpx.get(self._url, headers=headers, timeout=60, verify=False)

    def answered(self) -> httpx.Response:
        self.join()
        assert self.answer is not None
        return self.answer


def send(server: Server, number: signal.Signals = signal.SIGTERM) -> None:
    """Send the server a signal, and return once it drains."""
    assert server.process is not None
    server.process.send_signal(number)
    while server.client.get("/readyz").status_code == 200:
        pass


def closed(server: Server) -> bool:
    """Whether nobody listens any more."""
    try:
        httpx.get(server.url + "/livez", verify=False)
    except httpx.TransportError:
        return True
    return False


def test_it_drains_while_jobs_run(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """After SIGTERM a running job goes on; who waits is let go, who submits is told to go away.

    What was asked before can be asked again, and everything can be looked at. With the last
    running job the process ends, with exit code 0; pending jobs are there at the next start.
    """
    gate = tmp_path / "gate"
    server = start_server(AWAITD_TASKS=TASKS, AWAITD_SHUTDOWN_GRACE="30")
    client, key = server.client, {"Idempotency-Key": "known"}
    running = server.submit("wait_for_file", path=str(gate), headers=key)
    body = {"task": "count_runs", "params": {"path": str(tmp_path / "runs")}}
    delayed = client.post("/jobs", json={**body, "delay": 1}).json()
    waiter = Waiter(server.url, running)

    send(server)
    waited = waiter.answered()
    assert (waited.status_code, waited.json()["status"]) == (200, "running")
    time.sleep(0.5)  # the doors stay open while it drains
    assert httpx.get(server.url + "/livez", verify=False).status_code == 200
    refused = client.post("/jobs", json=body)
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/shutting-down")
    assert int(refused.headers["retry-after"]) >= 1
    known = client.post(
        "/jobs", json={"task": "wait_for_file", "params": {"path": str(gate)}}, headers=key
    )
    assert (known.status_code, known.headers["idempotent-replayed"]) == (202, "true")
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["reason"]) == (503, "shutting down")
    assert client.get(running["links"]["self"]).json()["status"] == "running"

    open_gate(gate, "in time")
    assert server.wait() == 0
    assert not (tmp_path / "runs").exists()
    server.start()
    assert server.job(running["id"])["result"] == "in time"
    assert server.job(delayed["id"], wait=10)["status"] == "completed"


def test_it_ends_in_time_whatever_runs(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """When the grace is over, jobs are interrupted and retried or not; the exit code is 0.

    A coroutine that ignores that, a thread that goes on and an upload that does not end hold
    nothing up.
    """
    gate, lines = tmp_path / "gate", tmp_path / "lines"
    server = start_server(
        AWAITD_TASKS=TASKS, AWAITD_SHUTDOWN_GRACE="0.2", AWAITD_CANCEL_GRACE="0.2"
    )
    once = server.submit("never_end")
    twice = server.submit("wait_in_first_attempt", path=str(lines))
    stubborn = server.submit("ignore_cancel", path=str(gate))
    server.submit("leave_a_thread", seconds=60)
    with closing(connect(server.url)) as upload:
        upload.sendall(
            b"POST /jobs HTTP/1.1\r\nHost: awaitd\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        began = time.monotonic()
        send(server, signal.SIGINT)
        assert server.wait() == 0
    assert time.monotonic() - began < 0.4 + 2 + 1
    assert "ignore_cancel" in server.log

    gate.touch()
    server.start()
    for job in (once, stubborn):
        after = server.job(job["id"])
        assert (after["status"], after["error"]["type"]) == ("failed", "interrupted")
    after = server.job(twice["id"], wait=10)
    assert (after["status"], after["result"], after["attempt"]) == ("completed", 2, 2)
    assert [attempt["outcome"] for attempt in after["attempts"]] == ["failed", "completed"]
    assert after["attempts"][0]["error"]["type"] == "interrupted"


@pytest.mark.parametrize("task", ["block", "spin"])
def test_a_blocked_loop_does_not_hold_it_up(
    start_server: Callable[..., Server], tmp_path: Path, task: str
) -> None:
    """A coroutine that blocks the event loop is ended with the process, which says so.

    In the next one it was interrupted, and what waited for it runs.
    """
    server = start_server(
        AWAITD_TASKS=TASKS,
        AWAITD_MAX_RUNNING="1",
        AWAITD_SHUTDOWN_GRACE="0.2",
        AWAITD_CANCEL_GRACE="0.2",
    )
    blocking = server.submit(task, seconds=60, path=str(tmp_path / "blocked"))
    waiting = server.submit("count_runs", path=str(tmp_path / "runs"))
    (tmp_path / "blocked.go").touch()
    wait_for(tmp_path / "blocked")
    assert server.terminate() == 1  # within 20 s
    assert "this process does not end" in server.log

    server.start()
    after = server.job(blocking["id"])
    assert (after["status"], after["error"]["type"]) == ("failed", "interrupted")
    assert server.job(waiting["id"], wait=10)["result"] == 1


def test_a_second_signal_ends_the_grace(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """Who asks twice gets the doors closed at once; running jobs still have their grace."""
    gate = tmp_path / "gate"
    server = start_server(AWAITD_TASKS=TASKS, AWAITD_SHUTDOWN_GRACE="30")
    server.submit("wait_for_file", path=str(gate))
    send(server)
    assert server.process is not None
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    while not closed(server):
        pass
    assert time.monotonic() - began < 10
    open_gate(gate, "in time")
    assert server.wait() == 0


def test_under_uvicorn_it_drains_too(tmp_path: Path) -> None:
    """`uvicorn app.main:app` lets waiters and jobs go in the same way, before it closes."""
    gate = tmp_path / "gate"
    log = tmp_path / "log"
    command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", "0"]
    settings = environment(AWAITD_TASKS=TASKS, AWAITD_DATA_DIR=str(tmp_path / "data"))
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=tmp_path, env=settings, stderr=file, stdout=file)
    try:
        while "running on http://" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        url = log.read_text().partition("running on ")[2].split()[0]
        with httpx.Client(base_url=url, verify=False) as client:
            body = {"task": "wait_for_file", "params": {"path": str(gate)}}
            waiter = Waiter(url, client.post("/jobs", json=body).json())
            process.send_signal(signal.SIGTERM)
            assert waiter.answered().json()["status"] == "running"
            assert client.post("/jobs", json=body).status_code == 503
            open_gate(gate, "in time")
            process.wait(10)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    assert "Application shutdown complete" in log.read_text()
    assert "Traceback" not in log.read_text()


def fail_often(url: str) -> None:
    """Let jobs fail whose messages fill the log."""
    body = {"task": "fail", "params": {"message": "x" * 2_000}}
    with httpx.Client(base_url=url, verify=False, timeout=2) as client:
        for _ in range(20):
            client.post("/jobs", json=body, headers={"Prefer": "wait=1"})


def test_a_log_that_nobody_reads_does_not_hold_it_up(tmp_path: Path) -> None:
    """With its log full the process ends in time: what it wanted to say is lost."""
    unread, log = os.pipe()
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4_096)
    settings = {"AWAITD_DATA_DIR": str(tmp_path / "data"), "AWAITD_SHUTDOWN_GRACE": "0.2"}
    with subprocess.Popen(
        [sys.executable, "-m", "app", "serve"],
        cwd=tmp_path,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with pytest.raises(httpx.TimeoutException):
            fail_often(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 1
    os.close(unread)
    os.close(log)
