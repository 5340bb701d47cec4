"""Processes of awaitd that start at once: forked from one that has imported it already.

In them runs what `python -m app` runs, to the end of the interpreter; spared is only the import.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final, NoReturn

_IMPORTED: Final = (
    "app.cli.commands",
    "app.main",
    "app.serving",
    "app.tasks",
    "app.working",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)
_AT_MOST: Final = 200_000
"""Bytes of a request for a process."""

ROOT: Final = Path(__file__).parents[2]


class WarmProcess:
    """`awaitd` with these arguments, as `subprocess.Popen` would have it; its files stay open."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str],
        stdout: int,
        stderr: int,
    ) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self._lock = threading.Lock()
        self._news, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = json.dumps([list(arguments), str(folder), dict(env)]).encode()
        with told:
            socket.send_fds(_parent(), [request], [stdout, stderr, told.fileno()])
        self.pid = int(self._news.recv(100))

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended; raises `subprocess.TimeoutExpired`."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; does nothing when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end, as a service manager would."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and has_news(self._news.fileno(), timeout):
                self.returncode = int(self._news.recv(100))
                self._news.close()
            return self.returncode


def has_news(file: int, timeout: float | None) -> bool:
    """Whether there is something to read, or nothing any more, within so many seconds."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


@cache
def _parent() -> socket.socket:
    """Where processes are asked for; when this process has ended, nobody asks any more."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        parent = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm"],
            cwd=ROOT,
            env={"PYTHONWARNINGS": "error", **os.environ, "PYTHONPATH": str(ROOT)},
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        parent.wait()

    atexit.register(end)
    return ours


def _fork_on_request() -> None:
    """Return in each process that was asked for, and once nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who keeps a process need not be waited for
    with socket.socket(fileno=os.dup(0)) as requests:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        while True:
            request, files, _, _ = socket.recv_fds(requests, _AT_MOST, 3)
            if not request:
                os._exit(0)
            if os.fork() == 0:
                break
            for file in files:
                os.close(file)
    arguments, folder, env = json.loads(request)
    stdout, stderr, told = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        _keep(pid, told, stdout, stderr)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for file, number in ((stdout, 1), (stderr, 2)):
        os.dup2(file, number)
        os.close(file)
    os.close(told)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["awaitd", *arguments]
    sys.path[0] = folder


def _keep(pid: int, told: int, *files: int) -> NoReturn:
    """Tell which process it is, and how it ended."""
    for file in files:
        os.close(file)
    os.write(told, str(pid).encode())
    _, status = os.waitpid(pid, 0)
    os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


if __name__ == "__main__":
    for module in _IMPORTED:
        import_module(module)
    gc.collect()
    gc.freeze()
    _fork_on_request()
    runpy.run_module("app", run_name="__main__", alter_sys=True)
