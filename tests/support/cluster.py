"""A server by itself, or with PostgreSQL and a worker, as clients of either cannot tell."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.support.server import END_WITHIN, Server, environment, require_clean
from tests.support.warm import WarmProcess

ENGINES: Final = ("embedded", "postgres")


@contextmanager
def served(engine: str, folder: Path, **settings: str) -> Iterator[Server]:
    """A server that runs the jobs itself, or one whose jobs a worker runs, while the block runs."""
    if engine == "embedded":
        with Server(folder, **settings) as server:
            yield server
        return
    with _database() as url:
        settings = {**settings, "AWAITD_DATABASE_URL": url}
        with working(folder, **settings), Server(folder, **settings) as server:
            yield server


@contextmanager
def working(folder: Path, **settings: str) -> Iterator[WarmProcess]:
    """`awaitd worker` while the block runs, which then stops cleanly."""
    log = folder / "worker.log"
    with log.open("a") as file:
        env, stderr = environment(**settings), file.fileno()
        process = WarmProcess(["worker"], folder=folder, env=env, stdout=stderr, stderr=stderr)
    try:
        yield process
        process.terminate()
        assert process.wait(END_WITHIN) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    require_clean(log.read_text())


@contextmanager
def _database() -> Iterator[str]:
    """The connection string of a PostgreSQL database while the block runs."""
    pytest.importorskip("psycopg", reason="needs the libraries of PostgreSQL")
    from tests.support.postgres import drop_database, new_database

    url = new_database()
    yield url
    drop_database(url)
