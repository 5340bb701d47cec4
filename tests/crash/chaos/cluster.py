"""The processes of a cluster: nodes that serve, workers that run jobs, and the database."""

import asyncio
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import psycopg

from app.engines.postgres.migrations import migrate
from tests.crash.storm.tasks import EVIDENCE, TASKS
from tests.support.forked import Forked, ForkedServer
from tests.support.postgres import Server as Database
from tests.support.postgres import url_of
from tests.support.server import require_clean

NODES: Final = 2
WORKERS: Final = 3
STALL_AFTER: Final = 3.0

AWAY_FOR: Final = 1.0
"""Seconds for which a database that restarts is away at the least."""


class Cluster:
    """Started and ended by `with`. What it is told to end it starts again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._database = Database()
        self._stack.callback(self._database.remove)
        self._settings = {
            "AWAITD_DATABASE_URL": url_of("postgres", self._database.host),
            "AWAITD_STALL_AFTER": str(STALL_AFTER),
            "AWAITD_TASKS": TASKS,
            "AWAITD_MAX_RUNNING": "20",
            "AWAITD_SHUTDOWN_GRACE": "0.2",
            "AWAITD_CANCEL_GRACE": "1",
            EVIDENCE: str(folder / "evidence"),
        }
        self.nodes: list[ForkedServer] = []
        self.workers: list[Forked] = []
        self._started = 0

    def __enter__(self) -> Self:
        migrate(self._settings["AWAITD_DATABASE_URL"])
        self.nodes = [self._start_node() for _ in range(NODES)]
        self.workers = [self._start_worker() for _ in range(WORKERS)]
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stack.close()
        if kind is None:
            for log in self._folder.glob("*.log"):
                require_clean(log.read_text())

    def end_node(self, number: int, how: signal.Signals) -> None:
        """End a node that serves, and start another one in its place."""
        self._end(self.nodes[number], how)
        self.nodes[number] = self._start_node()

    def end_worker(self, number: int, how: signal.Signals) -> None:
        """End a worker, and start another one in its place."""
        self._end(self.workers[number], how)
        self.workers[number] = self._start_worker()

    async def until_known(self, worker: Forked, known: bool) -> None:
        """Wait until a worker is counted among those that live, or no longer is."""
        text = "SELECT 1 FROM awaitd.workers WHERE name = %s"
        name = f"{socket.gethostname()}:{worker.pid}"
        url = self._settings["AWAITD_DATABASE_URL"]
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
            # The database tells nobody of this.
            while bool(await (await db.execute(text, (name,))).fetchall()) != known:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    def restart_database(self) -> None:
        """Cut every connection; be away for a moment."""
        self._database.stop()
        time.sleep(AWAY_FOR)
        self._database.start()

    def _start_node(self) -> ForkedServer:
        node = ForkedServer(self._folder, log=self._log(), **self._settings).start()
        self._stack.callback(node.kill)
        node.wait_until_ready()
        return node

    def _start_worker(self) -> Forked:
        worker = Forked(self._folder, log=self._log(), **self._settings).start()
        self._stack.callback(worker.kill)
        return worker

    def _log(self) -> str:
        self._started += 1
        return f"{self._started}.log"

    def _end(self, process: Forked, how: signal.Signals) -> None:
        process.send(how)
        code = process.wait()
        assert code in (0, 1, -signal.SIGKILL), f"{how.name} ended it with {code}"
