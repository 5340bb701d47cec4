"""How finished jobs leave the journal."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.answers import STORE_TIMEOUT
from app.engines.embedded.journal import FILE
from app.jobs.errors import JobExpired, JobNotFound
from app.jobs.ids import JobIds
from app.jobs.models import JobQuery
from app.scheduler import Status
from tests.engines.clock import WallClock, skip
from tests.engines.embedded.faults import Faults, disk_full, hang, turns
from tests.engines.harness import accepted, ended, removed
from tests.engines.puppets import Puppets, job_of

Open = Callable[..., EmbeddedEngine]

DAY = 86_400


def rows(folder: Path, table: str) -> list[tuple[Any, ...]]:
    """What the file holds."""
    with closing(apsw.Connection(str(folder / FILE))) as db:
        return db.execute(f"SELECT * FROM {table}").fetchall()


async def test_nothing_stays(
    open_embedded: Open, store: Path, puppets: Puppets, clock: WallClock
) -> None:
    """With a job, its labels and its attempts go; what has not finished stays, whatever its age."""
    async with open_embedded(max_running=2, housekeeping_every=0.01) as engine:
        running = await accepted(engine, job_of("hold", "running", labels={"a": "stays"}))
        delayed = await accepted(engine, job_of("hold", "delayed", delay=9 * DAY))
        puppets.fail("a", ValueError("once"))
        puppets.end("a", attempt=2)
        old = await accepted(engine, job_of("persistent", "a", labels={"a": "b", "c": "d"}))
        await ended(engine, old)
        clock.set_by(DAY - 1)
        young = await ended(engine, await accepted(engine, job_of("echo", labels={"a": "b"})))
        clock.set_by(2)
        await removed(engine, old)
        left = [job.id for job in (await engine.list(JobQuery())).items]
        assert left == [young.id, delayed.id, running.id]
        assert len(rows(store, "labels")) == 2
        assert rows(store, "attempts") == []


async def test_many(open_embedded: Open, clock: WallClock) -> None:
    """However many are to go, all go, in small steps between which others write."""
    async with open_embedded(housekeeping_every=3600) as engine:
        submissions = (accepted(engine, job_of("echo")) for _ in range(1_200))
        for job in await asyncio.gather(*submissions):
            await ended(engine, job)
        clock.set_by(DAY + 1)
        skip(3601)
        await removed(engine, job)
        assert not (await engine.list(JobQuery())).items


async def test_expired_or_never_there(open_embedded: Open, clock: WallClock) -> None:
    """An absent id has expired if it is not newer than the newest removed one, also later on."""
    async with open_embedded(housekeeping_every=0.01) as engine:
        before = JobIds(clock).next()
        job = await ended(engine, await accepted(engine, job_of("echo")))
        clock.set_by(DAY + 1)
        await removed(engine, job)
        after = JobIds(clock).next()
    async with open_embedded() as engine:
        for job_id in (before, job.id):
            with pytest.raises(JobExpired):
                await engine.get(job_id)
        with pytest.raises(JobNotFound):
            await engine.get(after)


async def test_numbers_are_not_used_again(open_embedded: Open, clock: WallClock) -> None:
    """When everything has been removed, ids and change numbers still go on after a restart."""
    async with open_embedded(housekeeping_every=0.01) as engine:
        job = await ended(engine, await accepted(engine, job_of("echo")))
        clock.set_by(DAY + 1)
        await removed(engine, job)
    clock.set_by(-2 * DAY)
    async with open_embedded() as engine:
        again = await accepted(engine, job_of("echo"))
    assert again.version > job.version
    assert again.id > job.id


async def test_clock_was_wrong(open_embedded: Open, clock: WallClock) -> None:
    """Jobs that ended while the clock was ahead do not hold up the removal of others."""
    async with open_embedded(housekeeping_every=0.01) as engine:
        clock.set_by(365 * DAY)
        submissions = (accepted(engine, job_of("echo")) for _ in range(600))
        ahead = await asyncio.gather(*submissions)
        for job in ahead:
            await ended(engine, job)
        clock.set_by(-365 * DAY)
        job = await accepted(engine, job_of("echo"))
        await engine.cancel(job.id)
        clock.set_by(DAY + 1)
        await removed(engine, job)
        assert (await engine.get(ahead[0].id)).status is Status.COMPLETED


async def test_store_fails(faults: Faults, open_embedded: Open, clock: WallClock) -> None:
    """What could not be removed while the store failed is removed afterwards."""
    async with open_embedded(housekeeping_every=0.01) as engine:
        job = await ended(engine, await accepted(engine, job_of("echo")))
        faults.fail(disk_full(), "DELETE")
        clock.set_by(DAY + 1)
        while engine.health().ready:  # noqa: ASYNC110  no event says
            await asyncio.sleep(0.001)
        faults.mend()
        await removed(engine, job)


@pytest.mark.parametrize("denied", [False, True])
async def test_figures(
    faults: Faults, open_embedded: Open, clock: WallClock, *, denied: bool
) -> None:
    """What was removed is counted, also when the store answers too late, or with an error."""
    async with open_embedded(housekeeping_every=60) as engine:
        job = await ended(engine, await accepted(engine, job_of("echo")))
        clock.set_by(DAY + 1)
        hanging, go_on = hang(faults)
        skip(61)
        await hanging.wait()
        faults.after_commit = apsw.SQLITE_IOERR if denied else apsw.SQLITE_OK
        skip(0 if denied else STORE_TIMEOUT + 1)
        await turns()
        go_on.set()
        await removed(engine, job)
        faults.mend()
        while not engine.health().ready:  # noqa: ASYNC110  no event says
            await asyncio.sleep(0.001)
        await engine.submit(job_of("echo", delay=60))  # answered after all that was before it
        assert (await engine.figures()).jobs[Status.COMPLETED] == 0
