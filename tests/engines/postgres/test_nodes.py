"""Several processes on one database, as engines of one process that share nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Any, Final, TypeAlias

import psycopg
import pytest

from app.engines.postgres import PostgresEngine
from app.engines.postgres.config import PostgresConfig
from app.engines.postgres.connections import connect
from app.engines.postgres.view import View
from app.engines.postgres.worker import FINISH, finish_values
from app.jobs.config import wall_clock
from app.jobs.errors import StartUpError
from app.jobs.events import EventKind, Watch
from app.jobs.models import ErrorType, Job
from app.jobs.runner import Outcome
from app.scheduler import Status, Step
from tests.engines.harness import LONG, accepted, ended, idle
from tests.engines.puppets import Puppets, job_of
from tests.support.postgres import conninfo

Open: TypeAlias = Callable[..., Any]

HOUR: Final = 3_600_000


@pytest.fixture
async def node(url: str, puppets: Puppets) -> AsyncIterator[Open]:
    """Opens nodes on one database, with the options of `PostgresConfig`."""
    async with AsyncExitStack() as stack:

        async def open_node(*, without: tuple[str, ...] = (), **options: Any) -> PostgresEngine:
            defaults = {"shutdown_grace": 0.0, "cancel_grace": 0.1, "housekeeping_every": 0.05}
            config = PostgresConfig(url=url, watch_loop=False, **{**defaults, **options})
            engine = PostgresEngine(puppets.registry(without=without), config)
            return await stack.enter_async_context(engine)

        yield open_node


async def test_work_of_another_node(node: Open, puppets: Puppets) -> None:
    """What one node accepts another one runs; all show it at once, and who waits is told."""
    api, other = await node(works=False), await node(works=False)
    job = await accepted(api, job_of("hold", "a"))
    assert (await other.get(job.id)).status is Status.PENDING
    await node()
    await puppets.begun("a")
    waiting = [asyncio.create_task(each.wait(job.id, timeout=LONG)) for each in (api, other)]
    puppets.end("a", 1)
    assert [(await each).result for each in waiting] == [b"1", b"1"]


async def test_a_task_that_no_worker_knows(node: Open) -> None:
    """What only API nodes know is said to be unknown: nobody runs it. It waits for who will."""
    api = await node(works=False, unknown_task_after=0.0)
    job = await accepted(api, job_of("hold", "a"))
    assert api.health().unknown_tasks == {}  # there is no worker yet, which is another matter
    await node(without=("hold",), unknown_task_after=3600.0)
    await unknown(api, {"hold": 1})
    assert (await ended(api, await accepted(api, job_of("echo")))).done
    assert (await api.get(job.id)).status is Status.PENDING


async def test_who_works(url: str, node: Open, puppets: Puppets) -> None:
    """A node learns at once who begins to work and who ceases, however seldom it looks around."""
    api = await node(works=False, housekeeping_every=3600.0, stall_after=36000.0)
    await accepted(api, job_of("hold", "a"))
    config = PostgresConfig(url=url, watch_loop=False, max_running=3, shutdown_grace=0.0)
    async with PostgresEngine(puppets.registry(without=("echo",)), config):
        job = await accepted(api, job_of("echo"))
        await unknown(api, {"echo": 1})
        other = PostgresEngine(puppets.registry(without=("hold",)), replace(config, max_running=1))
        async with other:
            await unknown(api, {})
            await ended(api, job)
        await accepted(api, job_of("echo"))
        await unknown(api, {"echo": 1})


async def test_figures_of_workers(url: str, node: Open) -> None:
    """The figures have each worker that is registered when they are asked for."""
    api = await node(works=False)
    with psycopg.connect(conninfo(url)) as db:
        db.execute(
            "INSERT INTO workers SELECT worker_id, 'a', 5, '{}' "
            "FROM procrastinate_register_worker_v1()"
        )
    figures = await api.figures()
    assert (figures.workers, figures.slots) == (1, 5)


async def test_worker_that_serves_nobody(node: Open, puppets: Puppets) -> None:
    """It runs and stops jobs, and does not hear of what it does not need."""
    api, worker = await node(works=False), await node(serves=False)
    ended_job = await accepted(api, job_of("echo"))
    assert (await ended(api, ended_job)).status is Status.COMPLETED
    job = await accepted(api, job_of("hold", "a"))
    await puppets.begun("a")
    assert worker.health().running == 0
    await api.cancel(job.id)
    assert (await ended(api, job)).status is Status.CANCELLED


async def test_cancel_on_another_node(node: Open, puppets: Puppets) -> None:
    """A cancel reaches a coroutine of another node once, and its clean-up completes."""
    api, _ = await node(works=False), await node()
    job = await accepted(api, job_of("tidy", "a"))
    await puppets.begun("a")
    job = await api.cancel(job.id)  # by then it may have ended
    assert job.cancel_requested_at is not None
    job = await ended(api, job)
    assert (job.status, job.result, puppets.cancels["a"]) == (Status.CANCELLED, b'"tidied"', 1)


async def test_cancel_at_the_start(url: str, node: Open, puppets: Puppets) -> None:
    """A cancel that is heard before the start that it follows is not lost."""
    api, _ = await node(works=False), await node()
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        for number in range(5):
            job = await accepted(api, job_of("hold", str(number)))
            while not has_started(db, job):  # noqa: ASYNC110  PostgreSQL does not say
                await asyncio.sleep(0)
            db.execute("SELECT cancel(%s, 0, NULL)", (job.id,))
            assert (await ended(api, job)).status is Status.CANCELLED


def has_started(db: psycopg.Connection[Any], job: Job) -> bool:
    """Whether the row says so within some milliseconds, while the event loop stands still."""
    query = "SELECT FROM jobs WHERE id = %s AND status = 1"
    return any(db.execute(query, (job.id,)).fetchall() for _ in range(20))


async def test_stream_on_another_node(node: Open, puppets: Puppets) -> None:
    """A stream tells what happens on other nodes, with what coroutines report there."""
    api, _ = await node(works=False), await node()
    kinds = []
    async with aclosing(api.watch(Watch())) as events:
        assert (await anext(events)).kind is EventKind.POSITION
        await accepted(api, job_of("talk", "a"))
        async with asyncio.timeout(LONG):
            async for event in events:
                kinds.append(event.kind)
                if event.kind is EventKind.LOG:
                    puppets.end("a")
                if event.kind is EventKind.DONE:
                    break
    assert {EventKind.STATUS, EventKind.PROGRESS, EventKind.LOG} <= set(kinds)


async def test_where_a_job_of_another_node_awaits(node: Open, puppets: Puppets) -> None:
    """The node that runs a job is asked where it awaits; a job that has ended awaits nowhere."""
    api, *_ = await node(works=False), await node(works=False), await node()
    job = await accepted(api, job_of("hold", "a"))
    await puppets.begun("a")
    frames = (await api.inspect(job.id)).frames
    assert frames is not None
    assert [frame.function for frame in frames] == ["Puppets.hold", "Puppets._act"]
    assert (await api.inspect(job.id, frames=False)).frames is None
    puppets.end("a")
    await ended(api, job)
    assert (await api.inspect(job.id)).frames is None


async def test_a_start_that_fails(url: str, node: Open) -> None:
    """A node that cannot begin says why, and leaves no connection behind."""
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        db.execute("ALTER TABLE awaitd.workers RENAME TO others")
        with pytest.raises(StartUpError, match="cannot be used"):
            await node()
        rest = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
        async with asyncio.timeout(LONG):
            while db.execute(rest, (db.info.backend_pid,)).fetchall():  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_limit_of_a_task_in_the_cluster(node: Open, puppets: Puppets) -> None:
    """Never do more jobs of a task run than it allows, on all nodes together."""
    api, *_ = await node(works=False), await node(), await node(), await node()
    jobs = [await accepted(api, job_of("pair", str(number))) for number in range(12)]
    for number in range(12):
        puppets.end(str(number))
    for job in jobs:
        assert (await ended(api, job)).status is Status.COMPLETED
    assert puppets.peak["pair"] <= 2


async def test_only_known_tasks(node: Open, puppets: Puppets) -> None:
    """A worker leaves alone what it does not know, and what others know is not unknown."""
    api, knows = await node(works=False), await node(max_running=1)
    await node(without=("hold",), unknown_task_after=0.0)
    first, second = [await accepted(api, job_of("hold", name)) for name in ("a", "b")]
    await puppets.begun("a")
    for _ in range(3):
        puppets.end(str(_))
        await ended(api, await accepted(api, job_of("pair", str(_))))
    assert (await api.get(second.id)).status is Status.PENDING
    assert not knows.health().unknown_tasks
    puppets.end("a")
    await ended(api, first)
    await puppets.begun("b")


async def test_lost_worker(url: str, node: Open, puppets: Puppets) -> None:
    """The jobs of a worker that was taken for dead are others'; its late outcome is refused."""
    api, lost = await node(works=False), await node()
    again = await accepted(api, job_of("persistent", "a"))
    once = await accepted(api, job_of("deaf", "b", timeout=None))
    for name in "ab":
        await puppets.begun(name)
    lost.drain()
    await node()
    with psycopg.connect(conninfo(url)) as db:  # as others do when it has been silent
        db.execute("DELETE FROM workers w WHERE id = (SELECT min(id) FROM workers)")
        db.execute("DELETE FROM procrastinate_workers w WHERE id NOT IN (SELECT id FROM workers)")
    for name in "ab":
        await puppets.begun(name, attempt=2)
    for name in "ab":
        puppets.end(name, "too late")
        puppets.end(name, "in time", attempt=2)
    for job in (again, once):
        job = await ended(api, job)
        assert (job.attempt, job.result) == (2, b'"in time"')
        assert job.attempts[0].error is not None
        assert job.attempts[0].error.type is ErrorType.INTERRUPTED


async def test_taken_for_dead_alone(url: str, node: Open, puppets: Puppets) -> None:
    """A worker that was taken for dead may run the next attempt itself, whatever its last does."""
    engine = await node(stall_after=1.0)
    job = await accepted(engine, job_of("deaf", "a"))
    await puppets.begun("a")
    with psycopg.connect(conninfo(url)) as db:
        db.execute("DELETE FROM procrastinate_workers")
    await puppets.begun("a", attempt=2)
    puppets.end("a", "too late")
    puppets.end("a", "in time", attempt=2)
    job = await ended(engine, job)
    assert (job.attempt, job.result) == (2, b'"in time"')
    await idle(engine)


async def test_connections_are_cut(url: str, node: Open, puppets: Puppets) -> None:
    """When every connection is cut, coroutines go on, and their outcomes are written afterwards."""
    engine = await node()
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    puppets.end("a", 1)
    async with asyncio.timeout(LONG):
        while True:
            try:
                job = await engine.wait(job.id, timeout=LONG)
                break
            except Exception:
                await asyncio.sleep(0.01)
    assert (job.status, job.result, job.attempt) == (Status.COMPLETED, b"1", 1)
    assert (await ended(engine, await accepted(engine, job_of("echo")))).status is Status.COMPLETED


async def test_frozen_within_a_transaction(node: Open, url: str, puppets: Puppets) -> None:
    """What a process holds that has frozen within a transaction is taken from it."""
    api = await node(stall_after=1.0)
    job = await accepted(api, job_of("hold", "a"))
    await puppets.begun("a")
    async with await psycopg.AsyncConnection.connect(conninfo(url)) as frozen:
        await frozen.execute("SELECT FROM jobs FOR UPDATE")
        assert (await api.cancel(job.id)).cancel_requested_at is not None
        with pytest.raises(psycopg.OperationalError):
            await frozen.execute("SELECT 1")
    assert (await ended(api, job)).status is Status.CANCELLED


async def test_read_after_a_restart(url: str, node: Open) -> None:
    """Reads find no connection of before a restart of the database, once it is back."""
    engine = await node(works=False, housekeeping_every=3600.0)
    job = await accepted(engine, job_of("echo"))
    await asyncio.gather(*(engine.get(job.id) for _ in range(100)))  # over all connections
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    for _ in range(5):
        assert (await engine.get(job.id)).id == job.id


async def test_late_outcome(node: Open, url: str, puppets: Puppets) -> None:
    """The outcome of an attempt that others have taken for dead changes nothing any more."""
    api = await node()
    job = await accepted(api, job_of("talk_again", "a"))
    await puppets.begun("a")
    puppets.fail("a", ValueError())
    await puppets.begun("a", attempt=2)
    late = finish_values(job.id, 1, 0, Outcome(step=Step.COMPLETE, returned=b"1"))
    async with await connect(url) as db:
        assert not await (await db.execute(FINISH.encode(), late)).fetchall()
    puppets.end("a", 2, attempt=2)
    assert (await ended(api, job)).result == b"2"


@pytest.mark.parametrize("hours", [-1, 1])
async def test_clocks_that_differ(node: Open, puppets: Puppets, hours: int) -> None:
    """Whatever the clocks of the nodes say, all go by the database's."""
    api = await node(works=False, now=lambda: wall_clock() + hours * HOUR)
    await node(now=lambda: wall_clock() - hours * HOUR)
    before = wall_clock()
    job = await accepted(api, job_of("echo", start_within=600))
    job = await ended(api, job)
    assert (job.status, job.done) == (Status.COMPLETED, True)
    assert job.started_at is not None
    assert job.finished_at is not None
    a_minute = HOUR // 60
    for time in (job.created_at, job.run_at, job.started_at, job.finished_at):
        assert before - a_minute < time < before + a_minute


async def test_counts_beside_a_long_transaction(node: Open, url: str, puppets: Puppets) -> None:
    """What other nodes do counts, though some other transaction has not ended for long."""
    api = await node(works=False)
    await node()
    with psycopg.connect(conninfo(url)) as other:
        other.execute("SELECT pg_current_xact_id()")
        for label in "ab":
            job = await accepted(api, job_of("hold", label))
            await puppets.begun(label)
            await counted(api, running=1)
            puppets.end(label)
            await ended(api, job)
            await counted(api, running=0)
    await ended(api, await accepted(api, job_of("echo")))
    await counted(api, running=0)
    assert (await api.figures()).jobs[Status.COMPLETED] == 3


async def test_what_was_answered_counts(node: Open, url: str) -> None:
    """What a node has told of a job it has counted, though others' changes are not settled."""
    api = await node(works=False)
    await node()
    with psycopg.connect(conninfo(url)) as other:
        other.execute("SELECT pg_current_xact_id()")
        for number in range(1, 6):
            await ended(api, await accepted(api, job_of("echo")))
            assert (await api.figures()).jobs[Status.COMPLETED] == number
            assert (api.health().pending, api.health().running) == (0, 0)


async def test_what_a_node_remembers(node: Open) -> None:
    """It does not hold the params of jobs that wait, which may be many and large."""
    view = View(wall_clock)
    job = await accepted(await node(works=False), job_of("hold", "a"))
    assert view.know(job)
    known = view.unfinished(job.id)
    assert known is not None
    assert len(known.params) < len(job.params)


async def unknown(engine: PostgresEngine, tasks: dict[str, int]) -> None:
    """Wait until these are the tasks that no worker knows, with so many jobs."""
    async with asyncio.timeout(LONG):
        while engine.health().unknown_tasks != tasks:  # noqa: ASYNC110  no event says
            await asyncio.sleep(0.01)


async def counted(engine: PostgresEngine, *, running: int) -> None:
    """Wait until no job is pending, as the engine counts, and so many run."""
    async with asyncio.timeout(LONG):
        while engine.health().pending or engine.health().running != running:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
