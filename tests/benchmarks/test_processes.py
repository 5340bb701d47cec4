import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import processes
from benchmarks.processes import Missing, answers, find_program, free_port, started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="they are read in /proc")

SERVER = """
import socket, subprocess, sys, time
burn = "import time\\nwhile time.process_time() < 0.2: pass"
subprocess.run([sys.executable, "-c", burn])
sleep = "import time; print(flush=True); time.sleep(60)"
sleeper = subprocess.Popen([sys.executable, "-c", sleep], stdout=subprocess.PIPE)
sleeper.stdout.readline()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(60)  # from when it listens on, its memory is what it is
"""


def test_a_tree_is_counted_whole(tmp_path: Path) -> None:
    """CPU time has that of children that have ended, memory that of those that live."""
    port = free_port()
    command = [sys.executable, "-c", SERVER, str(port)]
    with started(command, port=port, cwd=tmp_path) as server:
        pids = processes.tree(server.process.pid)
        assert server.process.pid in pids
        assert len(pids) == 2
        assert server.cpu_seconds() >= 0.2
        alone = processes.resident_bytes(server.process.pid)
        assert server.resident_bytes() > alone + 1_000_000  # the least that any Python has
        assert 0 < server.memory_bytes() <= server.resident_bytes()
    assert all(not is_running(pid) for pid in pids)


def test_a_server_is_waited_for(tmp_path: Path) -> None:
    """It is entered once it is ready in the way that was asked for, not when it listens."""
    answered: list[int] = []

    def is_ready(port: int) -> bool:
        answered.append(port)
        return len(answered) == 3

    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with started(command, port=port, cwd=tmp_path, is_ready=is_ready) as server:
        assert answered == [port] * 3
        assert server.url == f"http://127.0.0.1:{port}"


def test_a_server_is_ready_when_it_answers(tmp_path: Path) -> None:
    """With 200; nothing else will do."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    assert not answers("/")(port)
    with started(command, port=port, cwd=tmp_path, is_ready=answers("/")):
        assert answers("/")(port)
        assert not answers("/nothing")(port)


def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    """What it wrote is in the error."""
    command = [sys.executable, "-c", "import sys; sys.exit('no such luck')"]
    with pytest.raises(RuntimeError, match="no such luck"), started(command, port=free_port()):
        raise AssertionError("it was taken for ready")


def test_a_program_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the command that installs it."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Missing, match=r"^needs redis-server: apt-get install redis-server$"):
        find_program("redis-server")


def test_a_program_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the PATH first."""
    program = tmp_path / "wrk"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("wrk") == str(program)


def test_ports_differ() -> None:
    """A free port is one that nobody listens on."""
    port = free_port()
    assert not processes.is_listening(port)
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with started(command, port=port):
        assert processes.is_listening(port)


def is_running(pid: int) -> bool:
    """Whether there is such a process, one that nobody waits for not counted."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")
