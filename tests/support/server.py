"""A real `awaitd serve` in a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.warm import WarmProcess

ROOT = Path(__file__).parents[2]
END_WITHIN = 20.0

SUSPICIOUS = re.compile(
    r"never awaited|never retrieved|was destroyed but|Exception ignored|"
    r"Exception in (?:callback|thread)|\wWarning: "
)
"""What no sound server says; the traceback of a job that failed is none of it."""


class Server:
    """One `awaitd serve` on a free port. Started and stopped by `with`; restarted by `start`."""

    inside: Sequence[str] = ()
    """A command that runs the server, as its last arguments."""

    def __init__(
        self,
        folder: Path,
        *,
        command: Sequence[str] = (),
        expects: str | None = None,
        **settings: str,
    ) -> None:
        self.folder = folder
        self.command = command
        """What runs Python. By default it is forked, unless settings are not only our own."""
        self.expects = expects
        """The pattern of those suspicious lines of its log that are right."""
        self.settings = settings
        self.url = ""
        self.announced = ""
        self.output = ""
        self.process: subprocess.Popen[bytes] | WarmProcess | None = None
        self._client: httpx.Client | None = None

    def start(self) -> Self:
        """Start it and return once it listens; raises `AssertionError` with what it printed."""
        read, write = os.pipe()
        self._stdout = os.fdopen(read)
        with self.log_file.open("a") as log, os.fdopen(write, "w") as stdout:
            self.process = self._started(stdout.fileno(), log.fileno())
        self.announced = "".join(_announcement(self._stdout))
        assert " on http://" in self.announced, f"it did not start: {self.announced}{self.log}"
        self.url = self.announced.partition(" on ")[2].split()[0]
        # Without TLS: to read the certificates takes longer than most tests.
        self._client = httpx.Client(base_url=self.url, timeout=30, verify=False)
        return self

    @property
    def client(self) -> httpx.Client:
        """A client of the running server."""
        assert self._client is not None, "the server is not running"
        return self._client

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """End it as a service manager would; returns the exit code."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until it has ended by itself; returns the exit code."""
        return self._end(None)

    def submit(self, task: str, *, headers: Mapping[str, str] | None = None, **params: Any) -> Any:
        """Submit a job that is accepted; returns it."""
        answer = self.client.post(
            "/jobs", json={"task": task, "params": params}, headers=dict(headers or {})
        )
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    def job(self, job_id: str, *, wait: int = 0) -> Any:
        """A job, waited for up to so many seconds."""
        answer = self.client.get(f"/jobs/{job_id}", headers={"Prefer": f"wait={wait}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def running(self, task: str, **params: Any) -> Any:
        """Submit a job; returns it once it runs, in whatever process."""
        return once_running(self.client, self.submit(task, **params))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._client is not None:
            self.terminate()
        if error is None:
            require_clean(self.log, self.expects)

    def _started(self, stdout: int, stderr: int) -> subprocess.Popen[bytes] | WarmProcess:
        env = environment(AWAITD_DATA_DIR=str(self.folder / "data"), **self.settings)
        ours = all(name.startswith("AWAITD_") for name in self.settings)
        if ours and not self.inside and not self.command:
            return WarmProcess(["serve"], folder=self.folder, env=env, stdout=stdout, stderr=stderr)
        command = [*self.inside, *(self.command or [sys.executable]), "-m", "app", "serve"]
        return subprocess.Popen(command, cwd=self.folder, env=env, stdout=stdout, stderr=stderr)

    def _end(self, number: signal.Signals | None) -> int:
        assert self.process is not None
        self.client.close()
        self._client = None
        if number is not None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.output = self._stdout.read()
        self._stdout.close()
        return code


def once_running(client: httpx.Client, job: Any) -> Any:
    """The job once it runs."""
    path = job["links"]["self"]
    answer = client.get(path)
    while answer.status_code == 304 or answer.json()["status"] == "pending":
        headers = {"Prefer": "wait=10", "If-None-Match": answer.headers["ETag"]}
        answer = client.get(path, headers=headers)
    assert answer.json()["status"] == "running", answer.text
    return answer.json()


def _announcement(stdout: Iterable[str]) -> Iterator[str]:
    """What it prints when it listens; nothing follows its last line."""
    for line in stdout:
        yield line
        if line.split()[0] == "try" or line.split() == ["tasks", "none"]:
            return


def require_clean(log: str, expects: str | None = None) -> None:
    """Fail when a log has suspicious lines other than those that are expected."""
    lines = [line for line in log.splitlines() if SUSPICIOUS.search(line)]
    wrong = [line for line in lines if expects is None or not re.search(expects, line)]
    assert not wrong, f"{wrong} in the log of the server:\n{log}"


def environment(**settings: str) -> dict[str, str]:
    """The environment of a process of ours: no setting but these, and the code under test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWAITD_")}
    return (
        {"AWAITD_PORT": "0", "PYTHONWARNINGS": "error"}
        | kept
        | {"PYTHONPATH": str(ROOT)}
        | settings
    )
