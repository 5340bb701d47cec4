"""Both engines, started: a server with its journal, or nodes that share a PostgreSQL."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from benchmarks import http
from benchmarks.load import get_json
from benchmarks.peers import stores
from benchmarks.processes import Missing, Server, answers, free_port, started

READY_WITHIN: Final = 30.0
_numbers = count(1)


@dataclass(frozen=True)
class Nodes:
    """What answers HTTP, what else runs jobs, and the database that they share."""

    apis: tuple[Server, ...]
    workers: tuple[Server, ...] = ()
    database: Server | None = None
    conninfo: str = ""

    @property
    def ports(self) -> list[int]:
        """Where jobs are taken."""
        return [api.port for api in self.apis]

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time so far of all `api` nodes, all `worker`s, the `database`."""
        database = () if self.database is None else (self.database,)
        kinds = {"api": self.apis, "worker": self.workers, "database": database}
        return {kind: sum(each.cpu_seconds() for each in them) for kind, them in kinds.items()}

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """What a query gives, in awaitd's own schema."""
        return ask(self.conninfo, f"SET search_path TO awaitd; {query}")


@contextlib.contextmanager
def journal() -> Iterator[Nodes]:
    """`awaitd serve` with a journal on disk."""
    with tempfile.TemporaryDirectory() as folder, http.awaitd(folder) as server:
        yield Nodes((server,))


@contextlib.contextmanager
def postgres() -> Iterator[tuple[Server, str]]:
    """A PostgreSQL with its own defaults: every commit is synced. Raises `Missing`."""
    try:
        import psycopg
    except ImportError as error:
        raise Missing("needs psycopg: pip install 'awaitd[postgres]'") from error
    with stores.postgres() as (server, conninfo):
        with psycopg.connect(conninfo) as db:
            for name in ("fsync", "synchronous_commit"):
                assert db.execute(f"SHOW {name}".encode()).fetchone() == ("on",)
        yield server, conninfo


@contextlib.contextmanager
def cluster(
    database: tuple[Server, str], apis: int, workers: int, *, both: bool = False
) -> Iterator[Nodes]:
    """So many API nodes and workers on a new database; with `both` the API nodes work, too."""
    server, conninfo = database
    name = f"awaitd_{next(_numbers)}"
    ask(conninfo, f"CREATE DATABASE {name}")
    own = conninfo.replace("dbname=postgres", f"dbname={name}")
    with ExitStack() as stack:
        env = {
            "AWAITD_DATABASE_URL": own,
            "AWAITD_DATA_DIR": stack.enter_context(tempfile.TemporaryDirectory()),
            "AWAITD_TASKS": "benchmarks.tasks",
        }
        command = [sys.executable, "-m", "app", "migrate"]
        subprocess.run(command, env={**os.environ, **env}, capture_output=True, check=True)
        nodes = Nodes(
            tuple(stack.enter_context(_api(env, both)) for _ in range(apis)),
            tuple(stack.enter_context(_worker(env)) for _ in range(workers)),
            server,
            own,
        )
        _wait_for_workers(nodes, apis if both else workers)
        yield nodes


def ask(conninfo: str, query: str) -> list[tuple[Any, ...]]:
    """What the last of some statements gives, each committed by itself."""
    import psycopg

    *before, last = query.split("; ")
    with psycopg.connect(conninfo, autocommit=True) as db:
        for statement in before:
            db.execute(statement.encode())
        cursor = db.execute(last.encode())
        return cursor.fetchall() if cursor.description else []


def _api(env: Mapping[str, str], works: bool) -> contextlib.AbstractContextManager[Server]:
    port = free_port()
    command = [sys.executable, "-m", "app", "serve", *(["--worker"] if works else [])]
    named = {**env, "AWAITD_PORT": str(port)}
    return started(command, port=port, env=named, is_ready=answers("/readyz"))


def _worker(env: Mapping[str, str]) -> contextlib.AbstractContextManager[Server]:
    command = [sys.executable, "-m", "app", "worker"]
    return started(command, port=0, env=env, is_ready=lambda _port: True)


def _wait_for_workers(nodes: Nodes, wanted: int) -> None:
    """Return when so many run jobs, which the tables say first."""
    deadline = time.monotonic() + READY_WITHIN
    while nodes.ask("SELECT count(*) FROM workers") != [(wanted,)]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"there are no {wanted} workers")
        time.sleep(0.05)
    for api in nodes.apis:  # and each API node has been used once
        get_json(f"{api.url}/jobs", {"task": "noop"})


def result_of(body: bytes) -> Any:
    """The result in the answer that shows a job."""
    return json.loads(body)["result"]
