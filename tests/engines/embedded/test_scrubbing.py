"""Secrets leave the journal with the end of their job: not a byte of them is left on the disk."""

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.journal import FILE
from app.jobs.errors import InvalidParams
from app.jobs.models import ErrorType, Job
from app.scheduler import Status
from tests.engines.clock import skip
from tests.engines.embedded.faults import Faults, disk_full
from tests.engines.harness import LONG, accepted, ended, idle
from tests.engines.puppets import Puppets, job_of

SECRET = "canary-93be"

Open = Callable[..., EmbeddedEngine]
QUICK = 0.01


def on_disk(store: Path) -> list[str]:
    """The files of the store that have a secret in them."""
    files = sorted(path for path in store.iterdir() if path.is_file())
    return [path.name for path in files if SECRET.encode() in path.read_bytes()]


async def forgotten(store: Path) -> None:
    """Return when no file has a secret any more."""
    async with asyncio.timeout(LONG):
        while on_disk(store):  # noqa: ASYNC110  a file has no event
            await asyncio.sleep(QUICK)


async def keep(engine: EmbeddedEngine, name: str, size: int = 1, **options: object) -> Job:
    """A job with secrets of a size."""
    params = {"name": name, "password": SECRET * size, "pin": SECRET}
    return await accepted(engine, job_of("guarded", params=params, **options))


async def complete(engine: EmbeddedEngine, puppets: Puppets) -> Job:
    """It completes."""
    puppets.end("a")
    return await ended(engine, await keep(engine, "a"))


async def retry_and_fail(engine: EmbeddedEngine, puppets: Puppets) -> Job:
    """It fails, and so does its second attempt."""
    for attempt in (1, 2):
        puppets.fail("a", ValueError("no"), attempt=attempt)
    return await ended(engine, await keep(engine, "a"))


async def cancel_pending(engine: EmbeddedEngine, puppets: Puppets) -> Job:
    """It is cancelled before it starts."""
    return await engine.cancel((await keep(engine, "a", delay=3600)).id)


async def cancel_running(engine: EmbeddedEngine, puppets: Puppets) -> Job:
    """It is cancelled while it runs."""
    job = await keep(engine, "a")
    await puppets.begun("a")
    return await ended(engine, await engine.cancel(job.id))


async def start_too_late(engine: EmbeddedEngine, puppets: Puppets) -> Job:
    """No slot is free in time."""
    held = await accepted(engine, job_of("hold", "held"))
    job = await ended(engine, await keep(engine, "a", start_within=0.01))
    await engine.cancel(held.id)
    return job


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (complete, Status.COMPLETED),
        (retry_and_fail, Status.FAILED),
        (cancel_pending, Status.CANCELLED),
        (cancel_running, Status.CANCELLED),
        (start_too_late, Status.FAILED),
    ],
)
async def test_every_end_forgets(
    open_embedded: Open,
    puppets: Puppets,
    store: Path,
    end: Callable[[EmbeddedEngine, Puppets], Awaitable[Job]],
    status: Status,
) -> None:
    """However a job ends, its secrets are gone from the files a moment later, and stay gone."""
    async with open_embedded(max_running=1, housekeeping_every=QUICK) as engine:
        job = await end(engine, puppets)
        assert job.status is status
        await forgotten(store)
        assert secrets_in(store) == 0
    assert on_disk(store) == []


async def test_they_are_there_until_then(
    open_embedded: Open, puppets: Puppets, store: Path
) -> None:
    """The journal has them, and no other file, while the job may need them."""
    async with open_embedded(housekeeping_every=3600) as engine:
        job = await keep(engine, "a")
        await puppets.begun("a")
        assert on_disk(store) == [f"{FILE}-wal"]
        assert secrets_in(store) == 1
        await engine.cancel(job.id)
        await ended(engine, job)
        assert secrets_in(store) == 0


async def test_a_task_that_is_gone(open_embedded: Open, store: Path) -> None:
    """A job whose task does not come back fails, and its secrets are forgotten."""
    async with open_embedded() as engine:
        job = await keep(engine, "a", delay=1)
    assert on_disk(store) == [FILE]
    gone = {"without": ("guarded",), "unknown_task_after": 0.0}
    async with open_embedded(housekeeping_every=QUICK, **gone) as engine:
        skip(2)
        failed = await ended(engine, job)
        assert failed.error is not None
        assert failed.error.type is ErrorType.UNKNOWN_TASK
        await forgotten(store)


async def test_a_crash(open_embedded: Open, puppets: Puppets, store: Path, tmp_path: Path) -> None:
    """A job that lost its last attempt with the process has lost its secrets after the restart."""
    copy = tmp_path / "crashed"
    async with open_embedded() as engine:
        job = await keep(engine, "a")
        puppets.fail("a", ValueError("once"))
        await puppets.begun("a", attempt=2)
        shutil.copytree(store, copy)  # what a power cut would leave
        puppets.end("a", attempt=2)
        await ended(engine, job)
    assert on_disk(copy) != []
    async with open_embedded(copy, housekeeping_every=QUICK) as engine:
        crashed = await ended(engine, job)
        assert crashed.error is not None
        assert crashed.error.type is ErrorType.INTERRUPTED
        await forgotten(copy)
        with pytest.raises(InvalidParams):
            await engine.submit(job_of("guarded", params=None, copy_of=job.id))


async def test_many_at_once(open_embedded: Open, puppets: Puppets, store: Path) -> None:
    """Among many jobs that come and go, with secrets of any size, nothing is left behind."""
    dice = random.Random(1)
    failing = {number for number in range(300) if dice.random() < 0.5}
    async with open_embedded(housekeeping_every=QUICK) as engine:
        for number in range(300):
            size = dice.choice((1, 3, 30, 300, 3_000))
            if number in failing:
                puppets.fail(f"{number}", ValueError("x" * dice.randrange(500)))
            await keep(engine, f"{number}", size, labels={"n": "v" * dice.randrange(200)})
            await accepted(engine, job_of("echo", params={"value": "x" * dice.randrange(500)}))
        for number in dice.sample(range(300), 300):
            attempt = 2 if number in failing else 1
            puppets.end(f"{number}", "r" * dice.randrange(500), attempt=attempt)
        await idle(engine)
        await forgotten(store)
        assert secrets_in(store) == 0


async def test_a_reader_puts_it_off(open_embedded: Open, puppets: Puppets, store: Path) -> None:
    """Who reads for long, as a backup does, holds nobody up; it is tried until that has ended."""
    async with open_embedded(housekeeping_every=QUICK) as engine:
        job = await keep(engine, "a")
        await puppets.begun("a")
        with closing(apsw.Connection(str(store / FILE))) as db, counted_connections() as opened:
            db.execute("BEGIN")
            assert len(db.execute("SELECT high FROM secrets").fetchall()) == 1
            puppets.end("a")
            await ended(engine, job)
            async with asyncio.timeout(LONG):
                while len(opened) < 2:  # noqa: ASYNC110  one for each try
                    await asyncio.sleep(QUICK)
            assert on_disk(store) != []
            await ended(engine, await accepted(engine, job_of("echo")))
            db.execute("COMMIT")
        await forgotten(store)


@contextmanager
def counted_connections() -> Iterator[list[str]]:
    """The files of the connections that are opened meanwhile."""
    opened: list[str] = []

    def note(db: apsw.Connection) -> None:
        opened.append(db.filename)

    apsw.connection_hooks.append(note)
    try:
        yield opened
    finally:
        apsw.connection_hooks.remove(note)


async def test_a_store_that_fails(
    faults: Faults, open_embedded: Open, puppets: Puppets, store: Path
) -> None:
    """While the journal cannot be written the job has not ended; its end forgets its secrets."""
    async with open_embedded(housekeeping_every=QUICK) as engine:
        job = await keep(engine, "a")
        await puppets.begun("a")
        faults.fail(disk_full(), "DELETE FROM secrets")
        puppets.end("a")
        async with asyncio.timeout(LONG):
            while engine.health().ready:  # noqa: ASYNC110
                await asyncio.sleep(QUICK)
        assert (await engine.get(job.id)).status is Status.RUNNING
        assert secrets_in(store) == 1
        faults.mend()
        assert (await ended(engine, job)).status is Status.COMPLETED
        await forgotten(store)


async def test_others_pay_nothing(faults: Faults, open_embedded: Open, puppets: Puppets) -> None:
    """Jobs without secrets make SQLite overwrite nothing, and empty no log."""
    async with open_embedded(housekeeping_every=QUICK) as engine:
        await ended(engine, await accepted(engine, job_of("echo")))
        plain = len(faults.statements)
        assert not any("secure_delete" in sql for sql in faults.statements)
        puppets.end("a")
        await ended(engine, await keep(engine, "a"))
    assert any("secure_delete" in sql for sql in faults.statements[plain:])


def secrets_in(store: Path) -> int:
    """How many jobs have secrets in the journal."""
    with closing(apsw.Connection(str(store / FILE), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        return len(db.execute("SELECT high FROM secrets").fetchall())
