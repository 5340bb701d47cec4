"""Processes that start at once: forked from one that has loaded the service already."""

import multiprocessing
import os
import signal
import sys
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

from tests.support.server import environment, require_clean

START_WITHIN = 20.0
END_WITHIN = 20.0


class Forked:
    """One process of awaitd, which is killed at the end of `with`."""

    command = "worker"
    """What it is told to do."""

    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload(
        ["app.main", "app.serving", "app.cli", "app.tasks", "app.working", "app.engines.postgres"]
    )

    def __init__(self, folder: Path, *, log: str = "server.log", **settings: str) -> None:
        self._receiver, sender = self._context.Pipe(duplex=False)
        self._log = folder / log
        settings = {"AWAITD_DATA_DIR": str(folder / "data"), **settings}
        self._process = self._context.Process(
            target=_run,
            args=(self.command, sender, self._log, environment(**settings)),
            daemon=True,
        )

    def start(self) -> Self:
        """Begin to start it."""
        self._process.start()
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
        assert self._process.pid is not None
        return self._process.pid

    def kill(self) -> None:
        """End it as a power cut would; does nothing when it has ended."""
        self._process.kill()
        self._process.join()
        self._receiver.close()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end, as a service manager would; `wait` says when it has."""
        self.send(signal.SIGTERM)

    def wait(self) -> int | None:
        """Wait until it has ended; returns the exit code, None if it has not."""
        self._process.join(END_WITHIN)
        return self._process.exitcode


class ForkedServer(Forked):
    """One `awaitd serve`; it listens only when `wait_until_ready` has returned."""

    command = "serve"
    url = ""

    def wait_until_ready(self) -> None:
        """Return once it listens; raises `AssertionError` with its log when it does not."""
        assert self._receiver.poll(START_WITHIN), "it did not start in time"
        try:
            self.url = self._receiver.recv()
        except EOFError as error:
            raise AssertionError(f"it did not start: {self._log.read_text()}") from error

    def __enter__(self) -> Self:
        self.start().wait_until_ready()
        return self


class _Announcement:
    """Takes the place of stdout, and sends on where the server says it is."""

    def __init__(self, sender: Connection) -> None:
        self._sender = sender

    def write(self, text: str) -> int:
        if " on http://" in text:
            self._sender.send(text.partition(" on ")[2].split()[0])
        return len(text)

    def flush(self) -> None: ...


def _run(command: str, sender: Connection, log: Path, environ: dict[str, str]) -> None:
    from app.cli import main

    warnings.simplefilter("error")
    os.chdir(log.parent)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["awaitd", command]
    sys.stdout = _Announcement(sender)
    sys.stderr = log.open("a")
    main()
