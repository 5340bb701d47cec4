"""A database that was restored from a backup, by another PostgreSQL."""

import subprocess
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import psycopg
import pytest

from app.engines.postgres import PostgresEngine
from app.engines.postgres.config import PostgresConfig
from app.engines.postgres.migrations import migrate
from app.jobs.errors import StartUpError
from app.jobs.events import EventKind, Watch
from app.scheduler import Status
from tests.engines.harness import accepted, ended
from tests.engines.puppets import Puppets, job_of
from tests.support.postgres import Server, url_of

BURN: Final = """
DO $$ BEGIN FOR i IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$
"""
"""Uses up numbers of transactions, which the other PostgreSQL has not come to."""


@pytest.fixture
def other() -> Iterator[Server]:
    """Another PostgreSQL."""
    server = Server()
    yield server
    server.remove()


def restore(url: str, server: Server, file: Path) -> str:
    """Copy a database to another server, by a file."""
    restored = url_of("postgres", server.host)
    dump = [server.program("pg_dump"), "--format=custom", f"--file={file}", f"--dbname={url}"]
    subprocess.run(dump, check=True)
    load = [server.program("pg_restore"), f"--dbname={restored}", "--exit-on-error", str(file)]
    subprocess.run(load, check=True)
    return restored


async def test_restored(url: str, other: Server, tmp_path: Path, puppets: Puppets) -> None:
    """After `awaitd migrate` jobs go on, and whoever watched before is told to begin anew."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(BURN)
    async with PostgresEngine(puppets.registry(), PostgresConfig(url=url, works=False)) as engine:
        job = await accepted(engine, job_of("echo"))
        async with aclosing(engine.watch(Watch())) as events:
            before = (await anext(events)).version
    restored = restore(url, other, tmp_path / "backup")
    config = PostgresConfig(url=restored)
    with pytest.raises(StartUpError, match="awaitd migrate"):
        async with PostgresEngine(puppets.registry(), config):
            raise AssertionError
    assert [name.partition(",")[0] for name in migrate(restored)] == ["a new epoch"]
    assert not migrate(restored)
    async with PostgresEngine(puppets.registry(), config) as engine:
        assert (await ended(engine, job)).status is Status.COMPLETED
        async with aclosing(engine.watch(Watch(since=before))) as events:
            event = await anext(events)
        assert event.kind is EventKind.RESET
        new = await accepted(engine, job_of("echo"))
        async with aclosing(engine.watch(Watch(since=event.version))) as events:
            assert (await anext(events)).kind is EventKind.POSITION
            assert (await anext(events)).job_id in (None, new.id)
