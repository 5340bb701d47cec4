"""Deliveries of which several nodes could make each."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeAlias

import psycopg
import pytest

from app.engines.postgres import PostgresEngine, deliveries
from app.engines.postgres.config import PostgresConfig
from app.engines.postgres.deliveries import HELD
from app.jobs.deliveries import Past, Tried
from app.jobs.webhooks import Webhook
from tests.engines.clock import WallClock
from tests.engines.harness import LONG, accepted, ended
from tests.engines.puppets import Puppets, job_of
from tests.support.postgres import conninfo

HOOK: Final = Webhook("https://a.example/hook", "a.example:443")

Open: TypeAlias = Callable[..., Any]


@pytest.fixture
async def node(url: str, puppets: Puppets) -> AsyncIterator[Open]:
    """Opens nodes on one database, with the options of `PostgresConfig`."""
    async with AsyncExitStack() as stack:

        async def open_node(**options: Any) -> PostgresEngine:
            defaults = {"shutdown_grace": 0.0, "cancel_grace": 0.1, "housekeeping_every": 60.0}
            config = PostgresConfig(url=url, watch_loop=False, **{**defaults, **options})
            return await stack.enter_async_context(PostgresEngine(puppets.registry(), config))

        yield open_node


async def test_one_node_holds_it(node: Open) -> None:
    """Of several nodes that ask at once, one gets a delivery; each of several goes to one."""
    nodes = [await node(), await node(works=False), await node(serves=False)]
    hooks = [Webhook(f"https://{n}.example/", f"{n}.example:443") for n in range(5)]
    jobs = [
        await ended(nodes[0], await accepted(nodes[0], job_of("echo", webhook=h))) for h in hooks
    ]
    found = await asyncio.gather(*(each.deliveries.take(10, Past()) for each in nodes * 3))
    given = [due.job.id for batch, _ in found for due in batch]
    assert sorted(given) == sorted(job.id for job in jobs)


async def test_a_job_that_ends_between_two_looks(node: Open, url: str, puppets: Puppets) -> None:
    """What is shown as running has no deliveries, though its end is told by the next look."""
    engine = await node()
    job = await accepted(engine, job_of("hold", "a", webhook=HOOK))
    await puppets.begun("a")
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        db.execute("INSERT INTO deliveries (id, receiver, since) VALUES (%s, 'a', 0)", (job.id,))
        shown = await engine.get(job.id)
        db.execute("DELETE FROM deliveries")
    assert shown.deliveries == ()


async def test_every_node_is_woken(node: Open) -> None:
    """The end of a job wakes all nodes that could tell it."""
    nodes = [await node(), await node(works=False), await node(serves=False)]
    for each in nodes:
        each.deliveries.news.clear()
    await ended(nodes[0], await accepted(nodes[0], job_of("echo", webhook=HOOK)))
    async with asyncio.timeout(LONG):
        for each in nodes:
            await each.deliveries.news.wait()


async def test_a_holder_that_is_silent(node: Open) -> None:
    """What a node has held for too long is another's; what the first one says then is too late."""
    clock = WallClock()
    first, second = await node(now=clock), await node(now=clock, works=False)
    job = await ended(first, await accepted(first, job_of("echo", webhook=HOOK)))
    [[held], _] = await first.deliveries.take(10, Past())
    [nothing, pause] = await second.deliveries.take(10, Past())
    assert not nothing
    assert 0 < pause <= HELD / 1000
    clock.set_by(pause)
    [[due], _] = await second.deliveries.take(10, Past())
    assert due.job.id == job.id
    await second.deliveries.record(due, Tried(delivered_at=9, status=200))
    await first.deliveries.record(held, Tried(next_at=5, status=500))
    [delivery] = (await first.get(job.id)).deliveries
    assert (delivery.attempts, delivery.last_status) == (1, 200)


async def test_a_hold_does_not_show(node: Open) -> None:
    """While a delivery is being made the job shows when it was due, as before."""
    engine = await node()
    job = await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
    before = await engine.get(job.id)
    await engine.deliveries.take(10, Past())
    assert await engine.get(job.id) == before


async def test_what_a_look_costs(node: Open, url: str) -> None:
    """What is due is found by a few looks into an index, however much one receiver is owed."""
    engine = await node()
    job = await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        db.execute(
            "INSERT INTO deliveries (id, receiver, since, next_at, due_at) "
            "SELECT gen_random_uuid(), 'b.example:443', n, n, n FROM generate_series(1, 20000) AS n"
        )
        db.execute("ANALYZE deliveries")
        with db.transaction(force_rollback=True):
            text = "SELECT id FROM take_deliveries(%s, %s, 10, %s, %s)"
            found = db.execute(text, (1 << 50, 1 << 51, ["b.example:443"], "")).fetchall()
            [[read]] = db.execute(
                "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables "
                "WHERE relname = 'deliveries'"
            ).fetchall()
    assert found == [(job.id,)]
    assert read < 50


async def test_what_figures_cost(node: Open, url: str) -> None:
    """What is pending is counted by an index of it alone, however much has been delivered."""
    await node()
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        db.execute(
            "INSERT INTO deliveries (id, receiver, since, delivered_at, next_at, due_at) "
            "SELECT gen_random_uuid(), 'b.example:443', n, 1, "
            "CASE WHEN n > 19990 THEN n END, CASE WHEN n > 19990 THEN n END "
            "FROM generate_series(1, 20000) AS n"
        )
        with db.transaction(force_rollback=True):
            figures = db.execute("SELECT pending, oldest FROM delivery_figures()").fetchall()
            [[read]] = db.execute(
                "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables "
                "WHERE relname = 'deliveries'"
            ).fetchall()
    assert figures == [(10, 19_991)]
    assert read < 50


async def test_figures_are_counted_seldom(
    node: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for them often gets those that were counted some moments ago."""
    monkeypatch.setattr(deliveries, "_RESTS", 1_000_000)
    engine = await node()
    await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
    before = await engine.deliveries.figures()
    [[due], _] = await engine.deliveries.take(10, Past())
    await engine.deliveries.record(due, Tried(delivered_at=9, status=200))
    assert await engine.deliveries.figures() == before
    assert before.pending == 1


async def test_figures_do_not_grow_old(node: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it took to count them, as when they waited for a lock, they are counted anew."""
    monkeypatch.setattr(deliveries, "_RESTS", 1_000_000)
    monkeypatch.setattr(deliveries, "_SERVES", 0.0)
    engine = await node()
    await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
    assert (await engine.deliveries.figures()).pending == 1
    [[due], _] = await engine.deliveries.take(10, Past())
    await engine.deliveries.record(due, Tried(delivered_at=9, status=200))
    assert (await engine.deliveries.figures()).pending == 0
