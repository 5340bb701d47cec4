"""How the schema of the distributed engine comes about."""

import threading

import psycopg
import pytest

from app.engines.postgres.migrations import known, migrate, require_current, require_known
from app.jobs.errors import StartUpError


def applied(url: str) -> set[str]:
    """The names of what was applied."""
    with psycopg.connect(url) as db:
        return {name for (name,) in db.execute("SELECT name FROM awaitd.migrations")}


def test_from_nothing(empty_url: str) -> None:
    """An empty database gets everything; a second time nothing is left to do."""
    assert migrate(empty_url)[-1].endswith(".sql")
    assert applied(empty_url) == known()
    require_current(applied(empty_url))
    assert migrate(empty_url) == []


def test_at_once(empty_url: str) -> None:
    """Several at the same time apply each step once, and none of them fails."""
    done: list[list[str]] = []
    threads = [threading.Thread(target=lambda: done.append(migrate(empty_url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(bool, done)) == [False, False, False, True]


def test_newer_schema(url: str) -> None:
    """A schema with a step that is not known is refused, also to be migrated."""
    with psycopg.connect(url) as db:
        db.execute("INSERT INTO awaitd.migrations VALUES ('9999_later.sql')")
    with pytest.raises(StartUpError, match="newer awaitd"):
        migrate(url)
    with pytest.raises(StartUpError, match="newer awaitd"):
        require_known(applied(url))


def test_older_schema(url: str) -> None:
    """A schema that lacks a step is refused, and the message says what to do."""
    with pytest.raises(StartUpError, match="awaitd migrate"):
        require_current(applied(url) - {"0001_jobs.sql"})
