"""From one version of the schema to the next."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import apsw
import pytest

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.journal import FILE, BadJournal
from app.engines.embedded.migrations import NewerSchema, migrate
from tests.engines.harness import accepted
from tests.engines.puppets import job_of


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    """An empty database."""
    db = apsw.Connection(":memory:")
    yield db
    db.close()


def numbered() -> list[str]:
    """The names of the SQL files, in order."""
    folder = files("app.engines.embedded.migrations")
    return sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))


def schema(db: apsw.Connection) -> list[Any]:
    """What stands in the database."""
    return db.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


def test_numbers() -> None:
    """The files are numbered from 1 without a gap, for their number is the schema's version."""
    numbers = [int(name.split("_")[0]) for name in numbered()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_once(db: apsw.Connection) -> None:
    """Each step is taken once."""
    migrate(db)
    assert db.pragma("user_version") == len(numbered())
    before = schema(db)
    migrate(db)
    assert schema(db) == before


def test_all_or_nothing(db: apsw.Connection) -> None:
    """A step that fails half-way leaves nothing, neither tables nor number, and can be repeated."""
    statements = 0

    def fail_late(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        nonlocal statements
        statements += 1
        if "INSERT INTO marks" in sql:
            raise apsw.FullError("database or disk is full")
        return True

    db.exec_trace = fail_late
    with pytest.raises(apsw.FullError):
        migrate(db)
    db.exec_trace = None
    assert statements > 5
    assert schema(db) == []
    assert db.pragma("user_version") == 0
    migrate(db)
    assert schema(db)


def test_newer(db: apsw.Connection) -> None:
    """A schema of a later version is refused, with both numbers."""
    db.pragma("user_version", 1000)
    with pytest.raises(
        NewerSchema, match=f"version 1000; this awaitd knows up to {len(numbered())}"
    ):
        migrate(db)


async def test_newer_file(open_embedded: Callable[..., EmbeddedEngine], store: Path) -> None:
    """A newer journal is refused with what to do, and is as good as before afterwards."""
    async with open_embedded() as engine:
        job = await accepted(engine, job_of("echo", delay=60))
    with_version(store / FILE, 1000)
    with pytest.raises(BadJournal, match=r"written by a newer awaitd .* install that one, or set"):
        await open_embedded().__aenter__()
    with_version(store / FILE, len(numbered()))
    async with open_embedded() as engine:
        assert await engine.get(job.id) == job


def with_version(path: Path, version: int) -> None:
    """Give a file a version of its schema."""
    db = apsw.Connection(str(path))
    db.pragma("user_version", version)
    db.close()
