"""A database that is away for a while loses no job, no outcome and no worker."""

import asyncio
from collections.abc import Iterator

import pytest

from app.engines.postgres import PostgresEngine
from app.engines.postgres.config import PostgresConfig
from app.engines.postgres.migrations import migrate
from app.jobs.errors import StoreUnavailable
from app.scheduler import Status
from tests.engines.harness import LONG, accepted, ended
from tests.engines.puppets import Puppets, job_of
from tests.support.postgres import Server, url_of


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own."""
    server = Server()
    yield server
    server.remove()


async def test_restart(server: Server, puppets: Puppets) -> None:
    """What ends meanwhile is written afterwards, by the same workers; readiness says so."""
    url = url_of("postgres", server.host)
    migrate(url)
    config = PostgresConfig(url=url, housekeeping_every=0.05, watch_loop=False)
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


async def ready(engine: PostgresEngine, is_ready: bool) -> None:
    """Wait until the engine says so of itself."""
    async with asyncio.timeout(LONG):
        while engine.health().ready is not is_ready:  # noqa: ASYNC110  no event says
            await asyncio.sleep(0.01)
