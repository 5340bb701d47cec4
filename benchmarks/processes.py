"""Processes that are measured: started, waited for, their CPU time and memory, ended.

Linux only: all figures are read in /proc.
"""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
CPUS: Final = sorted(os.sched_getaffinity(0))

SERVER_CPUS: Final = set(CPUS[:-1] or CPUS)
LOAD_CPUS: Final = set(CPUS[-1:])
"""The load generator has a processor of its own, if there is more than one."""

START_WITHIN: Final = 60.0
END_WITHIN: Final = 15.0

PACKAGES: Final = {
    "wrk": "wrk",
    "redis-server": "redis-server",
    "initdb": "postgresql",
    "pg_isready": "postgresql",
    "postgres": "postgresql",
}
"""The Debian package that has a program."""


class Missing(Exception):
    """Raised when the system lacks a program; the message says how to install it."""


def find_program(name: str) -> str:
    """Its path; raises `Missing`. Debian keeps PostgreSQL's programs off the PATH."""
    places = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    path = shutil.which(name) or shutil.which(name, path=":".join(places))
    if path is None:
        raise Missing(f"needs {name}: apt-get install {PACKAGES.get(name, name)}")
    return path


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class Server:
    """A process that was started, with all its descendants: its tree."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """User and system time of the whole tree so far, with children that have ended."""
        return cpu_seconds(self.process.pid)

    def resident_bytes(self) -> int:
        """Resident memory of the tree; pages that its processes share count once for each."""
        return sum(resident_bytes(pid) for pid in tree(self.process.pid))

    def memory_bytes(self) -> int:
        """Proportional memory of the tree: pages that its processes share count once."""
        return sum(_proportional(pid) for pid in tree(self.process.pid))


@contextlib.contextmanager
def started(
    command: Sequence[str],
    *,
    port: int,
    env: Mapping[str, str] | None = None,
    is_ready: Callable[[int], bool] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
) -> Iterator[Server]:
    """Run a server until the block ends; it is entered when `is_ready(port)`, by default listening.

    `env` is added to this process's environment. `user` runs it as another, for PostgreSQL, which
    refuses root. Raises `RuntimeError` with what it wrote if it ends or is not ready in time.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            os.sched_setaffinity(process.pid, SERVER_CPUS)
            if not _wait_until_ready(process, is_ready or is_listening, port):
                output.seek(0)
                text = output.read().decode(errors="replace")[-4000:]
                raise RuntimeError(f"{command[0]} did not become ready:\n{text}")
            yield Server(process, port)
        finally:
            _end(process)


def is_listening(port: int) -> bool:
    """True if something accepts connections there."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def answers(path: str) -> Callable[[int], bool]:
    """Ready when a GET of this path answers 200."""

    def is_ready(port: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return is_ready


def tree(root: int) -> list[int]:
    """The process, its descendants, and what else is of the session that it leads."""
    found = {root}
    stats = sorted(_all_stats())  # parents have the lower ids, but for wrapped ones
    grown = True
    while grown:
        more = {pid for pid, parent, session in stats if parent in found or session == root}
        grown = not more <= found
        found |= more
    return sorted(found)


def cpu_seconds(root: int) -> float:
    """User and system seconds of a tree, with those of children that were waited for."""
    return sum(_ticks(pid) for pid in tree(root)) / TICKS


def _ticks(pid: int) -> int:
    fields = _stat(pid)
    return sum(map(int, fields[11:15])) if fields else 0  # utime, stime, cutime, cstime


def _all_stats() -> Iterator[tuple[int, int, int]]:
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))):
            yield int(name), int(fields[1]), int(fields[3])


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; none if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def resident_bytes(pid: int) -> int:
    """Resident memory of one process; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _wait_until_ready(
    process: subprocess.Popen[bytes], is_ready: Callable[[int], bool], port: int
) -> bool:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        if is_ready(port):
            return True
        time.sleep(0.02)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and kill what is left of its tree after a while."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_WITHIN)
    for pid in tree(process.pid):
        if pid != process.pid or process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()
