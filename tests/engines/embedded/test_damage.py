"""A journal that is damaged: refused at the start, or told and refused where it is met."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from enum import Enum
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import apsw
import pytest

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.journal import FILE, BadJournal
from app.jobs.errors import StoreUnavailable
from app.jobs.events import Watch
from app.jobs.models import Job, JobQuery
from app.scheduler import Status
from tests.engines.embedded.faults import Faults
from tests.engines.harness import LONG, accepted, ended
from tests.engines.puppets import Puppets, job_of

Open = Callable[..., EmbeddedEngine]

T = TypeVar("T")

PAGE = 4_096
LOG_HEADER, FRAME = 32, 24 + PAGE
COMMANDS = "rm -f {0}-wal {0}-shm && install -m 600 BACKUP {0}"


class Refused(Enum):
    """In place of an answer."""

    REFUSED = "refused"


@pytest.fixture
async def jobs(open_embedded: Open, puppets: Puppets) -> list[Job]:
    """Jobs of every kind in a closed journal, as it shows them."""
    async with open_embedded() as engine:
        made = []
        for number in range(30):
            value = "x" * 10_000 if number % 10 == 0 else number
            key = {"idempotency_key": f"k{number}", "fingerprint": b"f"}
            new = job_of("echo", params={"value": value}, labels={"order": str(number)}, **key)
            made.append(await ended(engine, await accepted(engine, new)))
        for name in "ab":
            puppets.fail(name, ValueError("again"))
            puppets.end(name, name, attempt=2)
            made.append(await ended(engine, await accepted(engine, job_of("talk_again", name))))
            made.append(await accepted(engine, job_of("hold", name, delay=3600)))
        large = job_of("echo", params={"value": "x" * 10_000}, delay=3600)
        made.append(await accepted(engine, large))
        return [await engine.get(job.id) for job in made]


def refused(folder: Path) -> str:
    """What a start says of a damaged journal, as a pattern."""
    return f"{folder / FILE} is damaged, or no journal .*{COMMANDS.format(folder / FILE)}"


def zeros(size: int) -> bytes:
    """A page as a disk gives it that has lost it."""
    return bytes(size)


def garbage(size: int) -> bytes:
    """A page as a disk gives it that mixes it up."""
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("filling", [zeros, garbage])
async def test_every_page(
    open_embedded: Open, jobs: list[Job], store: Path, filling: Callable[[int], bytes]
) -> None:
    """Whichever page is damaged, a start refuses it, or what meets it is refused and told of.

    No answer is wrong, none is missing, and no question hangs.
    """
    path = store / FILE
    sound = path.read_bytes()
    outcomes: Counter[str] = Counter()
    for start in range(0, len(sound), PAGE):
        path.write_bytes(sound[:start] + filling(PAGE) + sound[start + PAGE :])
        engine = open_embedded(cancel_grace=0)
        try:
            await engine.__aenter__()
        except BadJournal:
            outcomes["refused"] += 1
            continue
        async with asyncio.timeout(LONG):
            met = await refusals(engine, jobs)
        assert engine.health().ready is not met
        outcomes["met" if met else "not met"] += 1
        await engine.__aexit__(None, None, None)
    assert outcomes["refused"] > 5
    assert outcomes["met"] > 10
    assert outcomes["not met"] < 5


async def refusals(engine: EmbeddedEngine, jobs: list[Job]) -> bool:
    """Whether anything that can be asked is refused; what is answered has to be right."""
    met = False
    async for answer in answers(engine, jobs):
        met |= answer is Refused.REFUSED
    return met


async def answers(engine: EmbeddedEngine, jobs: list[Job]) -> AsyncIterator[object]:
    """Ask whatever can be asked."""
    for job in jobs:
        shown = await caught(engine.get, job.id)
        assert shown in (job, Refused.REFUSED)
        yield shown
        yield await caught(engine.inspect, job.id)
    queries = (JobQuery(), JobQuery(tasks=("echo",)), JobQuery(labels=(("order", "7"),)))
    for query in (*queries, JobQuery(statuses=(Status.COMPLETED,))):
        yield await caught(engine.list, query)
    yield await caught(newest_of, engine, jobs[-1].version)
    yield await caught(engine.figures)
    for number in range(30):
        key = {"idempotency_key": f"k{number}", "fingerprint": b"f"}
        again = await caught(engine.submit, job_of("echo", **key))
        assert again is Refused.REFUSED or again.replayed
        yield again
    yield await caught(engine.submit, job_of("echo", labels={"a": "b"}, delay=60))
    for job in jobs:
        yield await caught(engine.cancel, job.id)


async def caught(ask: Callable[..., Awaitable[T]], *arguments: object) -> T | Refused:
    """What it answers, or that it is refused; any other error is a defect."""
    try:
        return await ask(*arguments)
    except StoreUnavailable:
        return Refused.REFUSED


async def newest_of(engine: EmbeddedEngine, version: int) -> None:
    """Follow all jobs from the first change on."""
    async with aclosing(engine.watch(Watch(since=0))) as events:
        async for event in events:
            if event.version is not None and event.version >= version:
                return


async def test_header(open_embedded: Open, jobs: list[Job], store: Path) -> None:
    """A journal whose header is overwritten is refused, with the commands that restore one."""
    path = store / FILE
    path.write_bytes(b"\xff" * 100 + path.read_bytes()[100:])
    with pytest.raises(BadJournal, match=refused(store)):
        await open_embedded().__aenter__()


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
async def test_half_of_it(open_embedded: Open, jobs: list[Job], store: Path, part: float) -> None:
    """A journal that was cut off is refused."""
    path = store / FILE
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(BadJournal, match=refused(store)):
        await open_embedded().__aenter__()


async def test_directory(open_embedded: Open, store: Path) -> None:
    """A directory in the place of the journal is refused, and named."""
    (store / FILE).mkdir(parents=True)
    with pytest.raises(BadJournal, match=f"{store / FILE} is .*it is a directory"):
        await open_embedded().__aenter__()


async def test_values(open_embedded: Open, jobs: list[Job], store: Path) -> None:
    """A row that makes no sense is damage too, at the start and later."""
    db = apsw.Connection(str(store / FILE))
    db.execute("UPDATE jobs SET labels = '{' WHERE status > 1")
    async with open_embedded() as engine:
        with pytest.raises(StoreUnavailable, match=r"\(DecodeError: "):
            await engine.get(jobs[0].id)
        assert "is damaged (DecodeError" in (engine.health().reason or "")
    db.execute("UPDATE jobs SET labels = '{' WHERE status = 0")
    db.close()
    with pytest.raises(BadJournal, match="is damaged"):
        await open_embedded().__aenter__()


async def test_damage_by_writing(
    faults: Faults,
    open_embedded: Open,
    puppets: Puppets,
    store: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Damage that a write meets is logged once with how to restore; what may be refused is."""
    async with open_embedded(cancel_grace=0) as engine:
        job = await accepted(engine, job_of("hold", "a"))
        await puppets.begun("a")
        faults.fail(apsw.CorruptError("database disk image is malformed"), "INSERT")
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await engine.submit(job_of("echo"))
            assert "is damaged (CorruptError: database disk" in (engine.health().reason or "")
        faults.mend()
        with pytest.raises(StoreUnavailable, match="is damaged"):
            await engine.submit(job_of("echo"))
        with pytest.raises(StoreUnavailable, match="is damaged"):
            await engine.cancel(job.id)
        puppets.end("a", "an outcome")
        assert (await ended(engine, job)).result == b'"an outcome"'
        assert not engine.health().ready
    told = [record for record in caplog.records if "to begin with an empty" in record.message]
    assert len(told) == 1
    assert COMMANDS.format(store / FILE) in told[0].message


async def test_damaged_log(open_embedded: Open, puppets: Puppets, store: Path) -> None:
    """From the first damaged frame of the log on, all is as if it had not been written."""
    async with open_embedded() as engine:
        ids: list[UUID] = []
        sizes: list[int] = []
        for _ in range(5):
            ids.append((await accepted(engine, job_of("hold", "a", delay=60))).id)
            sizes.append((store / f"{FILE}-wal").stat().st_size)
        journal, log = (store / FILE).read_bytes(), (store / f"{FILE}-wal").read_bytes()
    assert (sizes[2] - LOG_HEADER) % FRAME == 0
    (store / FILE).write_bytes(journal)
    damaged = log[: sizes[2] + 100] + b"\xff" + log[sizes[2] + 101 :]
    (store / f"{FILE}-wal").write_bytes(damaged)
    async with open_embedded() as engine:
        assert [job.id for job in (await engine.list(JobQuery())).items] == ids[2::-1]
        (await engine.backup()).close()
