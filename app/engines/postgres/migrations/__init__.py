"""The schema, as numbered SQL files, ours and Procrastinate's, in a PostgreSQL schema of its own.

A table says which of them have been applied. All of it happens under one lock, each run in one
transaction: twice, or by two at once, is as good as once.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import psycopg
from procrastinate.schema import SchemaManager
from psycopg import sql

from app.jobs.errors import StartUpError

SCHEMA: Final = "awaitd"
"""The PostgreSQL schema that holds all that is ours."""

LOCK: Final = 0x61776169746400
"""The advisory lock that whoever changes the schema holds."""

_APPLIED: Final = "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY)"


def migrate(url: str) -> list[str]:
    """Bring the schema up to date, also after it was restored; gives the names of what was applied.

    Raises `StartUpError` for a schema that a newer awaitd has made, and without a database.
    """
    try:
        connection = psycopg.connect(url)
    except psycopg.OperationalError as error:
        raise StartUpError(f"the database cannot be reached: {first_line(error)}") from error
    try:
        return _migrate(connection)
    except psycopg.Error as error:
        raise StartUpError(f"the schema cannot be made: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """What PostgreSQL says, without its hints; it names hosts and users, and no password."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _migrate(connection: psycopg.Connection[Any]) -> list[str]:
    with connection as db:
        db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
        db.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(SCHEMA)))
        db.execute(_APPLIED)
        applied = {name for (name,) in db.execute("SELECT name FROM migrations")}
        require_known(applied)
        done = _apply(db, applied)
        if db.execute("SELECT is_restored()").fetchone() == (True,):
            db.execute("SELECT begin_epoch()")
            done.append("a new epoch, for the database was restored from a backup")
        return done


def _apply(db: psycopg.Connection[Any], applied: set[str]) -> list[str]:
    done = []
    if not any(name.startswith("procrastinate/") for name in applied):
        db.execute(SchemaManager.get_schema())  # is what all of its migrations lead to
        _note(db, _procrastinate_names())
        applied = applied | set(_procrastinate_names())
        done.append("procrastinate")
    for name, text in _all():
        if name not in applied:
            db.execute(text.encode())
            _note(db, [name])
            done.append(name)
    return done


def known() -> set[str]:
    """The names of all migrations that this awaitd knows."""
    return {name for name, _ in _all()}


def require_known(applied: set[str]) -> None:
    """Raise `StartUpError` when more was applied than this awaitd knows."""
    if newer := applied - known():
        raise StartUpError(
            f"a newer awaitd has made this database's schema (it has {min(newer)}): "
            "upgrade this one"
        )


def require_current(applied: set[str]) -> None:
    """Raise `StartUpError` unless all has been applied that this awaitd knows, and no more."""
    require_known(applied)
    if missing := known() - applied:
        raise StartUpError(
            f"the database's schema is not up to date ({min(missing)} is missing): "
            "run `awaitd migrate`"
        )


def _all() -> list[tuple[str, str]]:
    """Every migration by name, in order: Procrastinate's first, for ours use its tables."""
    folder = files(__package__)
    ours = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    theirs = Path(SchemaManager.get_migrations_path())
    return [
        *((name, (theirs / Path(name).name).read_text()) for name in _procrastinate_names()),
        *((name, (folder / name).read_text()) for name in ours),
    ]


def _procrastinate_names() -> list[str]:
    folder = Path(SchemaManager.get_migrations_path())
    return sorted(f"procrastinate/{file.name}" for file in folder.glob("*.sql"))


def _note(db: psycopg.Connection[Any], names: list[str]) -> None:
    with db.cursor() as cursor:
        cursor.executemany("INSERT INTO migrations VALUES (%s)", [(name,) for name in names])
