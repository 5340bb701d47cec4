"""Connections to PostgreSQL: a session each, with the search path of our schema."""

from typing import Any, Final, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.engines.postgres.migrations import SCHEMA, first_line, require_current
from app.jobs.errors import StartUpError

Async: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]

CONNECT_TIMEOUT: Final = 5
"""Seconds within which PostgreSQL has to take a connection."""

_DEFAULTS: Final = {
    "application_name": "awaitd",
    "connect_timeout": str(CONNECT_TIMEOUT),
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}

SESSION: Final = (
    f"SET search_path TO {SCHEMA}; SET default_transaction_isolation TO 'read committed'".encode()
)
"""What every session begins with: as options of the connection poolers would refuse it."""

_HEARS_WITHIN: Final = 3.0
"""Seconds in which what one session says reaches another one that listens."""


def conninfo(url: str) -> str:
    """The connection string with what we need of it; what the user says goes before ours."""
    return make_conninfo("", **{**_DEFAULTS, **conninfo_to_dict(url)})


def is_connection_string(url: str) -> bool:
    """Whether it can be one: a part of a password that slipped into another place is seen."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return False
    ports = str(given.get("port", "")).split(",")
    return "@" not in str(given.get("host", "")) and all(p.isdigit() or not p for p in ports)


def place_of(url: str) -> str:
    """Which database it is and where, without users and passwords."""
    given = conninfo_to_dict(url)
    host, port = given.get("host") or given.get("hostaddr"), given.get("port")
    where = f" on {host}" + (f" port {port}" if port else "") if host else ""
    return (
        f"PostgreSQL database {given.get('dbname') or given.get('service') or ''}".strip() + where
    )


async def connect(url: str) -> Async:
    """A connection of its own."""
    db = await psycopg.AsyncConnection.connect(conninfo(url), autocommit=True)
    try:
        await begin_session(db)
    except BaseException:  # it may have been lost at once, or be wanted no more
        await db.close()
        raise
    return db


async def begin_session(db: Async) -> None:
    """Make a new connection ready."""
    await db.execute(SESSION)


async def open_schema(url: str) -> bytes:
    """The key of fingerprints, which all nodes share.

    Raises `StartUpError` unless the database is there, with a schema that is up to date.
    """
    try:
        async with await connect(url) as db, await connect(url) as other:
            await require_sessions(db, other)
            await _check(db)
            rows = await (await db.execute("SELECT key FROM fingerprint_key")).fetchall()
            return bytes(rows[0][0])
    except psycopg.OperationalError as error:
        raise StartUpError(f"the database cannot be reached: {first_line(error)}") from error
    except psycopg.Error as error:
        raise StartUpError(f"the database cannot be used: {first_line(error)}") from error


async def require_sessions(hears: Async, says: Async) -> None:
    """Raise `StartUpError` unless who listens hears: a pooler may give its session to others."""
    await hears.execute("LISTEN awaitd_sessions")
    await says.execute("NOTIFY awaitd_sessions")
    async for _ in hears.notifies(timeout=_HEARS_WITHIN, stop_after=1):
        return
    raise StartUpError(
        "the database is behind a pooler that does not keep sessions: have PgBouncer use "
        "pool_mode = session for it, or connect directly"
    )


async def _check(db: Async) -> None:
    there = await (await db.execute("SELECT to_regclass('migrations')")).fetchone()
    if there is None or there[0] is None:
        raise StartUpError("the database has no schema of awaitd: run `awaitd migrate`")
    rows = await (await db.execute("SELECT name FROM migrations")).fetchall()
    require_current({name for (name,) in rows})
    if await (await db.execute("SELECT is_restored()")).fetchone() == (True,):
        raise StartUpError("the database was restored from a backup: run `awaitd migrate`")
    synchronous = await (await db.execute("SHOW synchronous_commit")).fetchone()
    if synchronous == ("off",):
        raise StartUpError(
            "the database has synchronous_commit=off, so that what it has acknowledged may be "
            "lost in a crash: set it to on"
        )
