"""A database that is away for a while loses no job, no outcome and no worker."""

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg
import pytest

from app.engines.postgres import PostgresEngine
from app.engines.postgres.config import PostgresConfig
from app.engines.postgres.housekeeping import CRASHED
from app.engines.postgres.listener import Listener
from app.engines.postgres.migrations import migrate
from app.engines.postgres.tables import _SOON, _TIMEOUT
from app.jobs.config import wall_clock
from app.jobs.errors import StoreUnavailable
from app.jobs.models import ErrorType, Job, JobQuery
from app.scheduler import Status
from tests.engines.harness import LONG, accepted, ended, removed
from tests.engines.puppets import Puppets, job_of
from tests.support import postgres
from tests.support.link import Link
from tests.support.postgres import Server, conninfo, url_of
from tests.support.server import Server as HttpServer

CLAIM: Final = "SELECT count(*) FROM claim(%s, 1, %s, %s, '{}', '{}', NULL)"

SLOW_COMMIT: Final = """
    CREATE FUNCTION await() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(1);
        RETURN NULL;
    END
    $$;
    CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON jobs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.status = 1 AND NEW.task = 'hold') EXECUTE FUNCTION await()
"""
"""A start of this task is not committed while somebody holds the lock."""

COMMITTING: Final = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of these tests' own."""
    server = Server()
    yield server
    server.remove()


@pytest.fixture
def own_url(server: Server) -> str:
    """A database on that server, with our schema."""
    with psycopg.connect(url_of("postgres", server.host), autocommit=True) as db:
        db.execute("DROP DATABASE IF EXISTS own")
        db.execute("CREATE DATABASE own")
    url = url_of("own", server.host)
    migrate(url)
    return url


@pytest.fixture
def link() -> Iterator[Link]:
    """The way to the server that the other tests use."""
    with TemporaryDirectory() as folder:
        link = Link(Path(folder), postgres.server())
        yield link
        link.close()


class DeadWorker:
    """A worker that claims jobs, and does nothing with them."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db = db
        [[self._id]] = db.execute("SELECT procrastinate_register_worker_v1()").fetchall()

    def claim(self, task: str) -> None:
        """Start a job of the task."""
        values = (self._id, wall_clock(), [task])
        assert self._db.execute(CLAIM, values).fetchall() == [(1,)]

    def beat(self, when: str) -> None:
        """Have its last heartbeat at that time, an expression of SQL."""
        text = f"UPDATE procrastinate_workers SET last_heartbeat = {when} WHERE id = %s"
        self._db.execute(text.encode(), (self._id,))


async def test_restart(server: Server, own_url: str, puppets: Puppets) -> None:
    """What ends meanwhile is written afterwards, by the same workers; readiness says so."""
    config = PostgresConfig(url=own_url, housekeeping_every=0.05, watch_loop=False)
    async with PostgresEngine(puppets.registry(), config) as engine:
        jobs = [await accepted(engine, job_of("hold", name)) for name in "abc"]
        for name in "abc":
            await puppets.begun(name)
        new = job_of("echo", idempotency_key="k", fingerprint=b"f")
        await asyncio.to_thread(server.stop)
        for name in "ab":
            puppets.end(name, name)
        await ready(engine, False)
        with pytest.raises(StoreUnavailable):
            await engine.get(jobs[0].id)
        submitting = asyncio.create_task(accepted(engine, job_of("echo")))
        await asyncio.to_thread(server.start)
        await ready(engine, True)
        puppets.end("c", "c")
        for job, name in zip(jobs, "abc", strict=True):
            job = await ended(engine, job)
            assert (job.status, job.attempt) == (Status.COMPLETED, 1)
            assert job.result == f'"{name}"'.encode()
        assert (await ended(engine, await submitting)).status is Status.COMPLETED
        assert (await ended(engine, await accepted(engine, new))).status is Status.COMPLETED
    assert puppets.started == ["a", "b", "c"]


async def test_silence_while_the_reaper_was_away(url: str, link: Link, puppets: Puppets) -> None:
    """What was silent before the reaper came, or came back, gets the whole time from then on."""
    stall_after, loop = 0.6, asyncio.get_running_loop()
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        first, second = DeadWorker(db), DeadWorker(db)
        first.beat("now() - interval '1 hour'")
        second.beat("now() + interval '1 hour'")  # else both are dead at once
        config = PostgresConfig(
            url=over(link, url),
            works=False,
            stall_after=stall_after,
            housekeeping_every=0.05,
            watch_loop=False,
        )
        began = loop.time()
        async with PostgresEngine(puppets.registry(), config) as engine:
            job = await accepted(engine, job_of("hold", "a"))
            first.claim("hold")
            assert_interrupted(await ended(engine, job))
            assert loop.time() - began > stall_after * 0.8
            job = await accepted(engine, job_of("hold", "b"))
            second.claim("hold")
            link.cut()
            second.beat("now() - interval '1 hour'")
            await ready(engine, False)
            cut_at = loop.time()
            while loop.time() < cut_at + stall_after:  # noqa: ASYNC110  that is what it is about
                await asyncio.sleep(0.01)
            link.mend()
            began = loop.time()
            await ready(engine, True)
            assert_interrupted(await ended(engine, job))
            assert loop.time() - began > stall_after * 0.8


def test_silence_before_the_server_started(own_url: str) -> None:
    """No worker can beat while there is no server: its silence counts from the server's start."""
    with psycopg.connect(conninfo(own_url), autocommit=True) as db:
        worker = DeadWorker(db)
        values = (*("01900000-0000-7000-8000-000000000000", 0, "hold", None, 0, None, 1, 0, None),)
        text = f"SELECT submit({', '.join(['%s'] * 16)})"
        db.execute(text.encode(), (*values, None, None, None, b"{}", None, None, None))
        worker.claim("hold")
        worker.beat("now() - interval '1 hour'")
        a_day, an_hour = 86_400.0, 3_600.0
        assert not db.execute(CRASHED.encode(), (a_day, an_hour)).fetchall()
        assert db.execute(CRASHED.encode(), (a_day, 0.0)).fetchall()


async def test_known_to_be_away(
    url: str, link: Link, puppets: Puppets, caplog: pytest.LogCaptureFixture
) -> None:
    """While the database is known to be away nobody waits for it for long, and the log is short."""
    loop = asyncio.get_running_loop()
    config = PostgresConfig(
        url=over(link, url), stall_after=1.2, housekeeping_every=0.05, watch_loop=False
    )
    async with PostgresEngine(puppets.registry(), config) as engine:
        job = await accepted(engine, job_of("echo", delay=60))
        link.cut()
        await ready(engine, False)
        began = loop.time()
        asked = (
            engine.submit(job_of("echo")),
            engine.cancel(job.id),
            *(engine.get(job.id) for _ in range(6)),
            *(engine.list(JobQuery()) for _ in range(6)),
        )
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreUnavailable}
        assert loop.time() - began < _TIMEOUT - _SOON  # each of them is given about a second
        assert "is not known" in str(answers[0])
        for what in ("housekeeping", "the heartbeat"):
            while f"{what} fails" not in caplog.text:  # noqa: ASYNC110  no event says
                await asyncio.sleep(0.01)
        link.mend()
        await ready(engine, True)
        await ended(engine, await accepted(engine, job_of("echo")))
        for what in ("housekeeping", "the heartbeat"):
            while f"{what} works again" not in caplog.text:  # noqa: ASYNC110  no event says
                await asyncio.sleep(0.01)
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("app.")]
    begun_and_over = Counter(line.partition(":")[0] for line in ours)
    assert begun_and_over == Counter(
        (
            "the database cannot be written",
            "the database can be written again",
            "the database cannot be heard",
            "the database can be heard again",
            "the heartbeat fails",
            "the heartbeat works again",
            "housekeeping fails",
            "housekeeping works again",
        )
    )


def test_what_clients_and_operators_see(
    url: str, link: Link, start_server: Callable[..., HttpServer]
) -> None:
    """An API node without its database answers 503 to who reads, too; its log says so briefly."""
    server = start_server(AWAITD_DATABASE_URL=over(link, url))
    link.cut()
    while server.client.get("/readyz").status_code == 200:
        pass
    for answer in [server.client.get(path) for path in ("/jobs", "/jobs", "/events", "/stats")]:
        assert (answer.status_code, answer.json()["title"]) == (503, "The store is not available")
    link.mend()
    while server.client.get("/readyz").status_code == 503:
        pass
    assert server.client.get("/livez").status_code == 200
    assert server.log.count("the database cannot be heard") == 1
    assert server.log.count("the database can be heard again") == 1
    ours = [line for line in server.log.splitlines() if " asyncio: Executing " not in line]
    assert "psycopg" not in "".join(ours)


async def test_a_claim_that_commits_late(url: str, link: Link, puppets: Puppets) -> None:
    """What a worker claims by a COMMIT that outlasts its connection, it runs."""
    here = PostgresConfig(url=url, works=False, watch_loop=False)
    there = replace(here, url=over(link, url), works=True, poll_every=0.02)
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        db.execute(SLOW_COMMIT)
        db.execute("SELECT pg_advisory_lock(1)")
        async with (
            PostgresEngine(puppets.registry(), here) as api,
            PostgresEngine(puppets.registry(), there) as worker,
        ):
            job = await accepted(api, job_of("hold", "a"))
            while not db.execute(COMMITTING).fetchall():  # noqa: ASYNC110  PostgreSQL does not say
                await asyncio.sleep(0.01)
            link.cut()
            await ready(worker, False)
            link.mend()
            await ended(api, await accepted(api, job_of("echo")))
            assert (await api.get(job.id)).status is Status.PENDING
            db.execute("SELECT pg_advisory_unlock(1)")
            puppets.end("a", "a")
            job = await ended(api, job)
            assert (job.status, job.attempt) == (Status.COMPLETED, 1)


async def test_what_came_and_went_meanwhile(url: str, link: Link, puppets: Puppets) -> None:
    """A node that was cut off counts what there is when it is back, not what it missed."""
    options: dict[str, Any] = {"watch_loop": False, "housekeeping_every": 0.02}
    cut_off = PostgresConfig(url=over(link, url), works=False, retention=3600, **options)
    removes = PostgresConfig(url=url, retention=0, keep_at_least=0.5, **options)
    async with PostgresEngine(puppets.registry(), cut_off) as api:
        job = await accepted(api, job_of("hold", "a"))
        assert (await api.figures()).jobs[Status.PENDING] == 1
        link.cut()
        async with PostgresEngine(puppets.registry(), removes) as worker:
            puppets.end("a")
            await removed(worker, job)
            for _ in range(2):
                await accepted(worker, job_of("echo", delay=60))
            link.mend()
            await counted(api, pending=2)
            await removed(worker, await accepted(worker, job_of("echo")))
            await accepted(worker, job_of("echo", delay=60))
            await counted(api, pending=3)


async def test_what_cannot_listen_is_closed(url: str) -> None:
    """No connection is left behind, of which a warning would tell."""
    listener = Listener(url, {"no channel": nothing}, nothing, nothing)
    with pytest.raises(psycopg.errors.SyntaxError):
        await listener.open()
    del listener
    gc.collect()


async def test_without_a_dispatch(url: str, puppets: Puppets) -> None:
    """A job whose dispatch somebody has removed is dispatched again."""
    options: dict[str, Any] = {"url": url, "watch_loop": False}
    config = PostgresConfig(works=False, reconcile_every=0, housekeeping_every=0.05, **options)
    async with PostgresEngine(puppets.registry(), PostgresConfig(works=False, **options)) as api:
        job = await accepted(api, job_of("echo"))
        with psycopg.connect(conninfo(url)) as db:
            db.execute("DELETE FROM procrastinate_jobs")
        async with (
            PostgresEngine(puppets.registry(), config),
            PostgresEngine(puppets.registry(), PostgresConfig(**options)),
        ):
            assert (await ended(api, job)).status is Status.COMPLETED


def nothing(*_: object) -> None:
    """What is told of nothing."""


def over(link: Link, url: str) -> str:
    """The same database, over the link."""
    assert postgres.server() in url
    return url.replace(postgres.server(), link.host)


def assert_interrupted(job: Job) -> None:
    """Its worker was taken for dead."""
    assert job.error is not None
    assert job.error.type is ErrorType.INTERRUPTED


async def counted(engine: PostgresEngine, *, pending: int) -> None:
    """Wait until the engine counts so many jobs that wait, and no others."""
    async with asyncio.timeout(LONG):
        while True:
            with contextlib.suppress(StoreUnavailable):
                tasks = (await engine.figures()).tasks.values()
                known = {(s, n) for figures in tasks for s, n in figures.jobs.items() if n}
                if known == {(Status.PENDING, pending)} and engine.health().pending == pending:
                    return
            await asyncio.sleep(0.01)


async def ready(engine: PostgresEngine, is_ready: bool) -> None:
    """Wait until the engine says so of itself."""
    async with asyncio.timeout(LONG):
        while engine.health().ready is not is_ready:  # noqa: ASYNC110  no event says
            await asyncio.sleep(0.01)
