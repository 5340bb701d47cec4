"""Processes that are started first and waited for later, and killed at the end."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Self

from tests.support.server import environment, require_clean
from tests.support.warm import WarmProcess, has_news

START_WITHIN = 20.0
END_WITHIN = 20.0


class Forked:
    """One process of awaitd, which is killed at the end of `with`."""

    command = "worker"
    """What it is told to do."""

    def __init__(self, folder: Path, *, log: str = "server.log", **settings: str) -> None:
        self._folder = folder
        self._log = folder / log
        self._settings = {"AWAITD_DATA_DIR": str(folder / "data"), **settings}
        self._process: WarmProcess | None = None
        self._stdout: int | None = None

    def start(self) -> Self:
        """Begin to start it."""
        self._stdout, stdout = os.pipe()
        with self._log.open("a") as log, os.fdopen(stdout, "w"):
            self._process = WarmProcess(
                [self.command],
                folder=self._folder,
                env=environment(**self._settings),
                stdout=stdout,
                stderr=log.fileno(),
            )
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: object, *_: object) -> None:
        self.kill()
        if kind is None:
            require_clean(self._log.read_text())

    @property
    def pid(self) -> int:
        """The process, once it has been started."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it as a power cut would; does nothing when it has ended."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        if self._stdout is not None:
            os.close(self._stdout)
            self._stdout = None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end, as a service manager would; `wait` says when it has."""
        self.send(signal.SIGTERM)

    def wait(self) -> int | None:
        """Wait until it has ended; returns the exit code, None if it has not."""
        assert self._process is not None
        try:
            return self._process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            return None


class ForkedServer(Forked):
    """One `awaitd serve`; it listens only when `wait_until_ready` has returned."""

    command = "serve"
    url = ""

    def wait_until_ready(self) -> None:
        """Return once it listens; raises `AssertionError` with its log when it does not."""
        assert self._stdout is not None
        assert has_news(self._stdout, START_WITHIN), "it did not start in time"
        announced = os.read(self._stdout, 10_000).decode()
        assert announced, f"it did not start: {self._log.read_text()}"
        self.url = announced.partition(" on ")[2].split()[0]

    def __enter__(self) -> Self:
        self.start().wait_until_ready()
        return self
