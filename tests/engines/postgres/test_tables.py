"""What is read of the tables while they change."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from app.engines.postgres.connections import connect
from app.engines.postgres.reading import Reading
from app.engines.postgres.rows import Row
from app.engines.postgres.tables import _TIMEOUT, Changes, Tables
from app.engines.postgres.view import View
from app.jobs.config import wall_clock
from app.jobs.errors import StoreUnavailable
from app.jobs.feed import Feed
from app.jobs.registry import TaskRegistry
from tests.engines.clock import skip
from tests.engines.postgres.test_claims import CLAIM, SUBMIT
from tests.support.postgres import conninfo


class Slow(Tables):
    """Reads of which the second comes after another attempt has ended."""

    def __init__(self, url: str, between: str) -> None:
        super().__init__(url, 0)
        self._url = url
        self._between = between

    async def rows(
        self,
        query: str | sql.Composed,
        values: Sequence[Any] = (),
        begun: Callable[[], object] = lambda: None,
    ) -> list[Row]:
        """Read, and let the attempt end."""
        rows = await super().rows(query, values, begun)
        with psycopg.connect(conninfo(self._url)) as db:
            db.execute(self._between.encode())
        return rows


async def test_an_attempt_that_ends_meanwhile(url: str) -> None:
    """No attempt is shown twice, when it ends between two reads."""
    job_id = UUID(int=1)
    with psycopg.connect(conninfo(url)) as db:
        values = (job_id, 0, "echo", None, 0, None, 9, 0, *[None] * 4, b"{}", *[None] * 3)
        db.execute(SUBMIT, values)
        [[worker]] = db.execute("SELECT procrastinate_register_worker_v1()").fetchall()
        retry = "SELECT finish(%s, {}, 0, 'retry', NULL, NULL, NULL, 0, NULL)"
        claim: tuple[object, ...] = (worker, 1, ["echo"], [], [], None)
        assert db.execute(CLAIM, claim).fetchall()
        db.execute(retry.format(1).encode(), (job_id,))
        db.execute("UPDATE procrastinate_jobs SET scheduled_at = NULL")
        assert db.execute(CLAIM, claim).fetchall()
    tables = Slow(url, retry.format(2).replace("%s", f"'{job_id}'"))
    await tables.open()
    try:
        job = await tables.get(job_id)
    finally:
        await tables.close()
    assert job is not None
    assert (job.attempt, [attempt.number for attempt in job.attempts]) == (2, [1, 2])


async def test_isolation(url: str) -> None:
    """Whatever the server's default is, a statement sees what was committed before it."""
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        text = f"ALTER DATABASE {db.info.dbname} SET default_transaction_isolation = serializable"
        db.execute(text.encode())
    async with await connect(url) as db:
        rows = await (await db.execute("SHOW transaction_isolation")).fetchall()
    assert rows == [("read committed",)]


async def test_a_read_that_gets_no_answer(url: str) -> None:
    """Nobody waits for ever for a database that has taken the question and is silent."""
    tables = Tables(url, 0)
    await tables.open()
    with psycopg.connect(conninfo(url)) as db:
        db.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        reading = asyncio.create_task(tables.get(UUID(int=1)))
        while not db.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        skip(_TIMEOUT)
        with pytest.raises(StoreUnavailable):
            await reading
    assert await tables.get(UUID(int=1)) is None
    await tables.close()


class Counting(Tables):
    """Counts how often it is asked for changes."""

    asked = 0

    async def changed_since(self, position: int, limit: int) -> Changes:
        """Count, and answer."""
        self.asked += 1
        return await super().changed_since(position, limit)


async def test_what_does_not_settle(url: str) -> None:
    """However many wait for changes that do not settle, they are looked for ever less often."""
    tables = Counting(url, 0)
    await tables.open()
    reading = Reading(tables, View(wall_clock), Feed(), TaskRegistry())
    await reading.start()
    with psycopg.connect(conninfo(url)) as other, psycopg.connect(conninfo(url)) as db:
        other.execute("SELECT pg_current_xact_id()")
        db.execute(
            SUBMIT, (UUID(int=1), 0, "echo", None, 0, None, 1, 0, *[None] * 4, b"{}", *[None] * 3)
        )
        db.commit()
        version = await tables.last_version()
        tables.asked = 0
        await asyncio.gather(*(reading.reach(version) for _ in range(10)))
    assert reading.view.position <= version
    assert tables.asked < 40
    await reading.reach(version)
    assert reading.view.position > version
    await reading.stop()
    await tables.close()
