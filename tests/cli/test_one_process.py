"""One data directory, one process, however the second one is started."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import END_WITHIN, finish, start
from tests.support.server import Server, environment

UVICORN = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", "0"]
APART = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc", "--net", "--uts"]


def run(command: list[str], folder: Path, data: Path) -> subprocess.CompletedProcess[str]:
    """Run a server of this data directory to its end."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(AWAITD_DATA_DIR=str(data)),
        capture_output=True,
        text=True,
        timeout=END_WITHIN,
    )


def may_be_apart() -> bool:
    """Whether this user may have namespaces of their own, as containers do."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*APART, "true"], capture_output=True).returncode == 0


def test_a_second_uvicorn(server: Server, tmp_path: Path) -> None:
    """Uvicorn says in one line who holds the directory, and ends; the holder goes on."""
    ended = run(UVICORN, tmp_path, server.folder / "data")
    assert server.process is not None
    [said] = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")][:-1]
    assert f"in use by process {server.process.pid} on " in said
    assert "Application startup failed" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 3
    assert server.submit("echo", value=1, headers={"Prefer": "wait=10"})["done"]


def test_two_workers(tmp_path: Path) -> None:
    """With `--workers 2` the second worker is refused, and uvicorn stops rather than try again."""
    ended = run([*UVICORN, "--workers", "2"], tmp_path, tmp_path / "data")
    assert ended.stderr.count("awaitd: the data directory") == 1
    assert "in use by process" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "stopping the parent process" in ended.stderr
    with Server(tmp_path) as server:  # nobody holds it any more
        assert server.submit("echo", value=1, headers={"Prefer": "wait=10"})["done"]


@pytest.mark.skipif(not may_be_apart(), reason="the system gives nobody a namespace")
def test_a_copy_of_the_container(server: Server, tmp_path: Path) -> None:
    """A process that sees neither the holder's processes nor its network is refused too."""
    command = [*APART, sys.executable, "-m", "app", "serve"]
    ended = run(command, tmp_path, server.folder / "data")
    assert server.process is not None
    assert f"in use by process {server.process.pid} on {os.uname().nodename}: " in ended.stderr
    assert (ended.returncode, ended.stdout) == (1, "")
    assert server.submit("echo", value=1, headers={"Prefer": "wait=10"})["done"]


def test_many_at_once(tmp_path: Path) -> None:
    """Of many that start at the same time one serves; each other one names a process, and ends."""
    data = str(tmp_path / "data")
    processes = [start("serve", folder=tmp_path, AWAITD_DATA_DIR=data) for _ in range(4)]
    ended = threading.Semaphore(0)

    def wait(process: subprocess.Popen[str]) -> None:
        process.wait()
        ended.release()

    threads = [threading.Thread(target=wait, args=(process,)) for process in processes]
    for thread in threads:
        thread.start()
    for _ in processes[1:]:
        assert ended.acquire(timeout=END_WITHIN)
    [left] = [process for process in processes if process.poll() is None]
    holder = json.loads((tmp_path / "data" / "lock").read_text())["pid"]
    left.terminate()
    answers = [finish(process) for process in processes]
    for thread in threads:
        thread.join()
    assert holder == left.pid
    for process, answer in zip(processes, answers, strict=True):
        if process is not left:
            assert answer.returncode == 1
            assert "in use by " in answer.stderr
    assert left.returncode in (0, -15)  # the signal may come before it has a handler


def test_a_killed_holder_holds_nothing(start_server: Callable[..., Server]) -> None:
    """After SIGKILL the next one starts at once, without waiting for any time to pass."""
    server = start_server(AWAITD_LOCK_WAIT="0")
    job = server.submit("sleep", seconds=0)
    server.kill()
    server.start()
    assert server.job(job["id"], wait=10)["done"]


def test_taking_over(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """With a time to wait, a new server takes over when the old one has drained."""
    old = start_server()
    job = old.submit("sleep", seconds=1)
    assert old.process is not None
    old.process.send_signal(signal.SIGTERM)
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "data").symlink_to(tmp_path / "data")
    new = start_server(folder, AWAITD_LOCK_WAIT="20")
    assert old.wait() == 0
    assert new.job(job["id"])["status"] == "completed"
