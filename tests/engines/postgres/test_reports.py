"""What coroutines report on its way through the database."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID

import psycopg
import pytest

from app.engines.postgres.config import PostgresConfig
from app.engines.postgres.engine import PostgresEngine
from app.engines.postgres.reports import EVERY, Reports
from app.engines.postgres.stacks import PATIENCE
from app.engines.postgres.writer import Change, Writer
from app.jobs.config import wall_clock
from app.jobs.live import LiveJob, Speech
from app.jobs.models import Job, Progress
from app.scheduler import Status
from tests.engines.clock import skip
from tests.engines.harness import LONG, accepted
from tests.engines.puppets import Puppets, job_of
from tests.support import postgres
from tests.support.link import Link
from tests.support.postgres import conninfo

START: Final = (
    "SELECT FROM procrastinate_register_worker_v1() AS w, "
    "LATERAL claim(w.worker_id, 1, %s, '{hold}', '{}', '{}', NULL)"
)
END: Final = "SELECT finish(%s, 1, %s, 'complete', '1', NULL, NULL, NULL, NULL)"


@pytest.fixture
def link() -> Iterator[Link]:
    """The way to the server."""
    with TemporaryDirectory() as folder:
        link = Link(Path(folder), postgres.server())
        yield link
        link.close()


async def started(api: PostgresEngine, db: psycopg.Connection[tuple[object, ...]]) -> Job:
    """A job that somebody runs who says nothing."""
    job = await accepted(api, job_of("hold", "a"))
    db.execute(START, (wall_clock(),))
    return await api.get(job.id)


async def test_what_is_said_during_an_outage(url: str, link: Link, puppets: Puppets) -> None:
    """A report that cannot be written is dropped, for the next one says more."""
    reported = asyncio.Event()
    writer = Writer(url.replace(postgres.server(), link.host), lambda: None)
    config = PostgresConfig(url=url, works=False, watch_loop=False)
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        async with PostgresEngine(puppets.registry(), config) as api:
            job = await started(api, db)
            live = LiveJob(job, Speech(wall_clock, lambda job_id: reports.heard(job_id)))

            def live_of(job_id: UUID) -> LiveJob:
                reported.set()
                return live

            reports = Reports(live_of, writer)
            reports.begin()
            await writer.open()
            link.cut()
            for number in range(3):
                live.progress(Progress(number / 10, None))
                await reported.wait()
                reported.clear()
                await refused(writer)
                skip(EVERY)
            link.mend()
            await writer.make("SELECT 1", ())
            assert (await api.get(job.id)).progress is None
            live.progress(Progress(0.9, None))
            await reported.wait()
            await writer.make("SELECT 1", ())
            assert (await api.get(job.id)).progress == Progress(0.9, None)
    reports.stop()
    await writer.close()


async def refused(writer: Writer) -> None:
    """Return when the writer has failed with all that was queued before."""
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    probe = Change("SELECT 1", (), lambda _: None, lambda _: failed.set_result(None), again=False)
    writer.queue(probe)
    await asyncio.wait_for(failed, LONG)


async def test_a_job_that_ends_while_its_node_is_asked(url: str, puppets: Puppets) -> None:
    """Where it awaits is not told then, and it is shown as it has ended."""
    config = PostgresConfig(url=url, works=False, watch_loop=False)
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        async with PostgresEngine(puppets.registry(), config) as api:
            job = await started(api, db)
            assert job.status is Status.RUNNING
            db.execute("LISTEN awaitd_asked")
            inspecting = asyncio.create_task(api.inspect(job.id))
            while not list(db.notifies(timeout=0)):  # noqa: ASYNC110  of another library
                await asyncio.sleep(0.01)
            db.execute(END, (job.id, wall_clock()))
            skip(PATIENCE)
            seen = await inspecting
    assert (seen.job.status, seen.frames) == (Status.COMPLETED, None)
