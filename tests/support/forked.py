"""Servers that start at once: forked from a process that has loaded the service already."""

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

from tests.support.server import environment

START_WITHIN = 20.0


class ForkedServer:
    """One `awaitd serve`, which is killed at the end of `with`."""

    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload(["app.main", "app.serving", "app.cli", "app.tasks"])

    def __init__(self, folder: Path, **settings: str) -> None:
        self._receiver, sender = self._context.Pipe(duplex=False)
        settings = {"AWAITD_DATA_DIR": str(folder / "data"), **settings}
        self._process = self._context.Process(
            target=_serve, args=(sender, folder, environment(**settings)), daemon=True
        )
        self.url = ""

    def __enter__(self) -> Self:
        self._process.start()
        assert self._receiver.poll(START_WITHIN), "it did not start"
        self.url = self._receiver.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it as a power cut would; does nothing when it has ended."""
        self._process.kill()
        self._process.join()
        self._receiver.close()


class _Announcement:
    """Takes the place of stdout, and sends on where the server says it is."""

    def __init__(self, sender: Connection) -> None:
        self._sender = sender

    def write(self, text: str) -> int:
        if " on http://" in text:
            self._sender.send(text.partition(" on ")[2].split()[0])
        return len(text)

    def flush(self) -> None: ...


def _serve(sender: Connection, folder: Path, environ: dict[str, str]) -> None:
    from app.cli import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["awaitd", "serve"]
    sys.stdout = _Announcement(sender)
    sys.stderr = (folder / "server.log").open("a")
    main()
