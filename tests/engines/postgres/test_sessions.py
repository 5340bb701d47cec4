"""What a connection needs of the way to the database."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from app.engines.postgres.connections import connect, conninfo, require_sessions
from app.jobs.errors import StartUpError


def test_no_options_of_the_connection(url: str) -> None:
    """Poolers refuse options that a connection begins with: ours are said in the session."""
    assert "options" not in conninfo_to_dict(conninfo(url))
    with psycopg.connect(conninfo(url)) as db, pytest.raises(psycopg.errors.UndefinedTable):
        db.execute("SELECT FROM jobs")


async def test_a_session_of_its_own(url: str) -> None:
    """A connection that is ours finds our tables, and hears what is said on another one."""
    async with await connect(url) as db, await connect(url) as other:
        await db.execute("SELECT FROM jobs")
        await require_sessions(db, other)


async def test_no_session_of_its_own(url: str, empty_url: str) -> None:
    """Where nothing is heard of others, as behind a pooler of transactions, it says so."""
    async with await connect(url) as db, await connect(empty_url) as elsewhere:
        with pytest.raises(StartUpError, match="pool_mode = session"):
            await require_sessions(db, elsewhere)
