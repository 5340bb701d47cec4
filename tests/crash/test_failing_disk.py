"""A real server whose disk fails under it, in each way that can be had from outside."""

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.engines.embedded.journal import FILE
from tests.support.gates import open_gate
from tests.support.server import Server

TASKS = "tests.support.tasks_for_tests"
READY_WITHIN = 2.0
FAIL_WITHIN = 5.0
"""Seconds in which a submission is refused: far from the 10 after which nobody waits any more."""

Break = Callable[[Server, Path], AbstractContextManager[None]]


@contextmanager
def files_do_not_grow(server: Server, data: Path) -> Iterator[None]:
    """The limit of the size of files is lowered to that of the log."""
    assert server.process is not None
    pid, kind = server.process.pid, resource.RLIMIT_FSIZE
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, ((data / f"{FILE}-wal").stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, kind, before)


@contextmanager
def no_space(server: Server, data: Path) -> Iterator[None]:
    """Another file takes all room that is left."""
    ballast = data / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def moved(server: Server, data: Path) -> Iterator[None]:
    """The data directory is somewhere else."""
    data.rename(data.with_name("elsewhere"))
    try:
        yield
    finally:
        data.with_name("elsewhere").rename(data)


@contextmanager
def replaced(server: Server, data: Path) -> Iterator[None]:
    """A copy stands in the place of the journal, as after a restore that forgot to stop it."""
    original, copy = data / FILE, data / "copy"
    copy.write_bytes(original.read_bytes())
    original.rename(data / "original")
    copy.rename(original)
    try:
        yield
    finally:
        (data / "original").rename(original)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[None]:
    """The data directory is a file system of one megabyte."""
    data = tmp_path / "data"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(data)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("it takes root, with the right to mount, to make a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", str(data)], check=True)


@pytest.mark.usefixtures("small_disk")
def test_full_disk(tmp_path: Path) -> None:
    """On a disk without room nothing is promised, nothing lost, and all is well afterwards."""
    require_promises(no_space, tmp_path)


@pytest.mark.parametrize("break_it", [files_do_not_grow, moved, replaced])
def test_failing_disk(break_it: Break, tmp_path: Path) -> None:
    """However the disk fails, nothing is promised, nothing lost, and all is well afterwards."""
    require_promises(break_it, tmp_path)


def require_promises(break_it: Break, folder: Path) -> None:
    """Break the disk of a server and mend it."""
    gate = folder / "gate"
    with Server(folder, AWAITD_TASKS=TASKS, AWAITD_SHUTDOWN_GRACE="0") as server:
        known = [server.submit("wait_for_file", path=str(gate))["id"]]
        known.append(server.submit("never_end")["id"])
        with break_it(server, folder / "data"):
            require_failing(server, gate, known)
            log = server.log.splitlines()
            lines = [line for line in log if " asyncio: Executing " not in line]
        until_ready(server)
        found = server.job(known[0], wait=10)
        assert (found["status"], found["result"]) == ("completed", "kept")
        known.append(server.submit("never_end", headers={"Idempotency-Key": "k"})["id"])
        assert server.client.delete(f"/jobs/{known[1]}").status_code in (200, 202)
        assert len(lines) < 5, server.log  # beside those of steps that a busy machine made slow
        server.kill()
        server.start()
        assert [server.job(job_id)["id"] for job_id in known] == known
        assert server.job(known[1])["status"] == "cancelled"
        ids = {item["id"] for item in server.client.get("/jobs").json()["items"]}
        assert ids == set(known)


def require_failing(server: Server, gate: Path, known: list[str]) -> None:
    """Nothing is accepted, reads go on, and an outcome is kept."""
    client, (running, stopping) = server.client, known
    for _ in range(3):
        submission = {"task": "return_when_cancelled", "params": {"value": "x" * 100_000}}
        refused = client.post("/jobs", json=submission, timeout=FAIL_WITHIN)
        require_unavailable(refused)
        assert str(server.folder) not in refused.text
    require_unavailable(client.delete(f"/jobs/{stopping}", timeout=FAIL_WITHIN))
    open_gate(gate, "kept")
    assert server.job(running, wait=1)["status"] == "running"
    assert server.job(stopping)["cancel_requested_at"] is None
    assert len(client.get("/jobs").json()["items"]) == 2
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "not-ready")
    assert ready.json()["reason"]
    assert str(server.folder) not in ready.text
    assert ready.headers["Retry-After"]
    assert client.get("/livez").status_code == 200


def require_unavailable(answer: httpx.Response) -> None:
    """It is refused in the proper form."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/store-unavailable"
    assert int(answer.headers["Retry-After"]) > 0


def until_ready(server: Server) -> None:
    """Return when it accepts work again, which it must in time, with nothing to do."""
    deadline = time.monotonic() + READY_WITHIN
    answer: Any = None
    while time.monotonic() < deadline:
        answer = server.client.get("/readyz")
        if answer.status_code == 200:
            return
    pytest.fail(f"it is not ready after {READY_WITHIN} s: {answer.text}")
