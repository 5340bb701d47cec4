"""Bursts of one idempotency key."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import psycopg
import pytest
from psycopg import sql

from app.engines.postgres import PostgresEngine
from app.engines.postgres.config import PostgresConfig
from app.engines.postgres.keys import Keys
from app.engines.postgres.rows import Row
from app.engines.postgres.tables import Tables
from app.jobs.models import JobQuery
from tests.engines.harness import LONG, accepted
from tests.engines.puppets import Puppets, job_of
from tests.support.postgres import conninfo

NEW = job_of("echo", idempotency_key="k", fingerprint=b"f")

READS = (
    "SELECT FROM pg_stat_activity "
    "WHERE wait_event_type = 'Lock' AND query LIKE '%j.idempotency_key = %'"
)

WRITES = (
    "SELECT FROM pg_stat_activity "
    "WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT * FROM submit(%'"
)


@pytest.fixture
async def nodes(url: str, puppets: Puppets) -> AsyncIterator[list[PostgresEngine]]:
    """Two nodes that run nothing, on one database."""
    config = PostgresConfig(url=url, watch_loop=False, works=False, housekeeping_every=3600.0)
    one, other = (PostgresEngine(puppets.registry(), config) for _ in range(2))
    async with one, other:
        yield [one, other]


async def test_few_connections(nodes: list[PostgresEngine]) -> None:
    """A burst of one key does not ask the database for each, be the job new or known."""
    for _ in range(2):
        before = connections_taken(nodes[0])
        await asyncio.gather(*(nodes[0].submit(NEW) for _ in range(500)))
        assert connections_taken(nodes[0]) - before < 20


async def test_on_two_nodes(nodes: list[PostgresEngine]) -> None:
    """Of bursts on several nodes one submission is accepted, and all show its job."""
    answers = await asyncio.gather(*(node.submit(NEW) for node in nodes * 50))
    assert len({answer.job.id for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1


async def test_nobody_is_told_what_was_read_before(url: str, nodes: list[PostgresEngine]) -> None:
    """Who comes while the job of a key is being read does not get what that read finds."""
    job = await accepted(nodes[0], NEW)
    with psycopg.connect(conninfo(url)) as lock, psycopg.connect(conninfo(url)) as db:
        db.autocommit = True
        lock.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        asking = []
        async with asyncio.timeout(LONG):
            for number in (1, 2):
                asking.append(asyncio.create_task(nodes[0].replay(NEW)))
                while len(db.execute(READS).fetchall()) < number:  # noqa: ASYNC110  none says
                    await asyncio.sleep(0.01)
        lock.rollback()
        answers = await asyncio.gather(*asking)
    assert [answer and answer.job.id for answer in answers] == [job.id] * 2


async def test_known_while_it_is_written(url: str, nodes: list[PostgresEngine]) -> None:
    """A key is known from when its submission is on its way: who comes then waits for that."""
    with psycopg.connect(conninfo(url)) as lock, psycopg.connect(conninfo(url)) as db:
        db.autocommit = True
        lock.execute("LOCK TABLE jobs IN SHARE MODE")  # which can be read
        submitting = asyncio.create_task(accepted(nodes[0], NEW))
        async with asyncio.timeout(LONG):
            while not db.execute(WRITES).fetchall():  # noqa: ASYNC110  none says
                await asyncio.sleep(0.01)
        replaying = asyncio.create_task(nodes[0].replay(NEW))
        for _ in range(5):
            await nodes[0].list(JobQuery())
        lock.rollback()
        replay = await replaying
        assert replay is not None
        assert replay.job.id == (await submitting).id


class OneConnection(Tables):
    """Tables with one connection and without any job, which count what they are asked."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(1)
        self.goes_on = asyncio.Event()
        self.reads = 0

    async def rows(
        self,
        query: str | sql.Composed,
        values: Sequence[Any] = (),
        begun: Callable[[], object] = lambda: None,
    ) -> list[Row]:
        async with self.free:
            begun()
            self.reads += 1
            await self.goes_on.wait()
        return []


async def test_the_end_of_one_read_leaves_the_next_one_shared() -> None:
    """Who comes while a read waits for a connection shares it, though an earlier one has ended."""
    tables = OneConnection()
    keys = Keys(tables)
    first = asyncio.create_task(keys.find(("", "k")))
    while not tables.reads:  # noqa: ASYNC110  none says
        await asyncio.sleep(0)
    in_between = asyncio.create_task(tables.free.acquire())
    await asyncio.sleep(0)
    asking = [asyncio.create_task(keys.find(("", "k")))]
    for _ in range(3):
        await asyncio.sleep(0)
    tables.goes_on.set()
    await first
    asking += [asyncio.create_task(keys.find(("", "k"))) for _ in range(2)]
    await asyncio.sleep(0)
    await in_between
    tables.free.release()
    await asyncio.gather(*asking)
    assert tables.reads == 2


def connections_taken(engine: PostgresEngine) -> int:
    """How often a connection has been asked for to read."""
    return engine._tables._pool.get_stats()["requests_num"]


async def test_reads_end_with_the_engine(url: str, puppets: Puppets) -> None:
    """A read that nobody waits for any more does not outlive the engine."""
    config = PostgresConfig(url=url, watch_loop=False, works=False, housekeeping_every=3600.0)
    with psycopg.connect(conninfo(url)) as lock, psycopg.connect(conninfo(url)) as db:
        db.autocommit = True
        async with PostgresEngine(puppets.registry(), config) as node:
            lock.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            asking = asyncio.create_task(node.replay(NEW))
            while not db.execute(READS).fetchall():  # noqa: ASYNC110  none says
                await asyncio.sleep(0.01)
            asking.cancel()
            await asyncio.wait((asking,))
            assert "awaitd-key" in {task.get_name() for task in asyncio.all_tasks()}
        assert "awaitd-key" not in {task.get_name() for task in asyncio.all_tasks()}
        lock.rollback()
