"""A coroutine that blocks the event loop is named while it does."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gates import open_gate
from tests.support.server import Server

TASKS = "tests.containment.tasks"
WITHIN = 2.0
"""Seconds in which a job that blocks the event loop is named."""


def text_once_there(path: Path, words: str = "") -> str:
    """What is in a file, once it is there with these words in it."""
    while not path.exists() or words not in path.read_text():
        time.sleep(0.01)
    return path.read_text()


@pytest.mark.parametrize("task", ["block_loop", "block_loop_in_subtask"])
def test_who_blocks_the_event_loop_is_named(
    start_server: Callable[..., Server], tmp_path: Path, task: str
) -> None:
    """Within 2 s the log has the job and its stack; then it is counted, once, and goes on."""
    server = start_server(AWAITD_TASKS=TASKS)
    gate = tmp_path / "gate"
    job = server.submit(task, path=str(gate))
    (tmp_path / "gate.go").touch()
    began = float(text_once_there(tmp_path / "gate.began"))
    log = text_once_there(server.log_file, "in block\n")
    assert time.monotonic() - began < WITHIN
    assert re.search(rf"ERROR .* the event loop has been blocked .* by job {task} {job['id']}", log)
    assert "tests/containment/tasks.py" in log
    open_gate(gate)

    assert server.job(job["id"], wait=10)["status"] == "completed"
    text_once_there(server.log_file, "the event loop goes on; it was blocked for ")
    stats = server.client.get("/stats").json()
    assert stats["loop_blocked"] == 1
    assert 1 <= stats["loop_blocked_seconds"] < time.monotonic() - began + 1
    metrics = server.client.get("/metrics").text
    assert "\nawaitd_loop_blocked_total 1.0\n" in metrics
    [seconds] = re.findall(r"^awaitd_loop_blocked_seconds_total (.*)$", metrics, re.MULTILINE)
    assert round(float(seconds), 3) == stats["loop_blocked_seconds"]


def test_nobody_is_blamed_for_a_suspended_process(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """A server that is stopped for a while and goes on has blocked nothing."""
    server = start_server(AWAITD_TASKS=TASKS)
    assert server.process is not None
    running = server.submit("wait_for", path=str(tmp_path / "gate"))
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)  # so long is it suspended
    server.process.send_signal(signal.SIGCONT)
    block = tmp_path / "block"
    server.submit("block_loop", path=str(block))
    (tmp_path / "block.go").touch()
    log = text_once_there(server.log_file, "has been blocked")
    open_gate(block)
    open_gate(tmp_path / "gate")
    assert server.job(running["id"], wait=10)["status"] == "completed"
    assert server.client.get("/stats").json()["loop_blocked"] == 1
    assert "by job block_loop" in log
