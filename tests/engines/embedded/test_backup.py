"""Copies of the journal, made while it is in use."""

import asyncio
import os
import stat
import threading
from collections import namedtuple
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import apsw
import pytest

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.journal import FILE, BadJournal
from app.jobs.errors import JobNotFound, StoreUnavailable
from app.jobs.events import EventKind, Watch
from app.jobs.models import JobQuery
from app.scheduler import Status
from tests.engines.embedded.faults import Faults, disk_full
from tests.engines.embedded.test_failing_store import files_limited_to
from tests.engines.harness import LONG, accepted, ended
from tests.engines.puppets import Puppets, job_of

Open = Callable[..., EmbeddedEngine]

VACUUM = "VACUUM"
CHECK = "PRAGMA integrity_check"


def restore(copy: BinaryIO, folder: Path) -> None:
    """Put a backup in the place of a journal, as an operator would."""
    folder.mkdir(exist_ok=True)
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
        (folder / name).unlink(missing_ok=True)
    with copy:
        (folder / FILE).write_bytes(copy.read())


def left_in(folder: Path) -> set[str]:
    """What lies in a data directory beside the journal of an open engine."""
    return {path.name for path in folder.iterdir()} - {FILE, f"{FILE}-wal", f"{FILE}-shm", "lock"}


class Pausing:
    """Holds up the thread that makes a backup at a statement."""

    def __init__(self, faults: Faults, at: str) -> None:
        self.reached, self._go_on = asyncio.Event(), threading.Event()
        self._at, self._loop = at, asyncio.get_running_loop()
        faults.before_reading = self._pause

    def go_on(self) -> None:
        """Let it go on."""
        self._go_on.set()

    def go_on_after(self, event: threading.Event) -> None:
        """Let it go on when something has happened."""
        assert event.wait(10)
        self.go_on()

    def _pause(self, sql: str) -> None:
        if sql.startswith(self._at):
            self._loop.call_soon_threadsafe(self.reached.set)
            assert self._go_on.wait(10)


async def test_it_holds_what_was_acknowledged(
    open_embedded: Open, puppets: Puppets, store: Path
) -> None:
    """A backup put in place of a journal has every job that was acknowledged before, as it was."""
    async with open_embedded() as engine:
        key = {"idempotency_key": "k", "fingerprint": b"f", "labels": {"order": "1"}}
        done = await ended(engine, await accepted(engine, job_of("echo", **key)))
        waits = await accepted(engine, job_of("hold", "waits", delay=60))
        runs = await accepted(engine, job_of("hold", "runs"))
        await puppets.begun("runs")
        copy = await engine.backup()
        after = await accepted(engine, job_of("echo"))
        puppets.end("runs")
        await ended(engine, runs)
    restore(copy, store)
    async with open_embedded() as engine:
        assert await engine.get(done.id) == done
        assert await engine.get(waits.id) == waits
        crashed = await engine.get(runs.id)
        assert crashed.error is not None
        assert (crashed.status, crashed.error.type) == (Status.FAILED, "interrupted")
        with pytest.raises(JobNotFound):
            await engine.get(after.id)
        assert (await engine.submit(job_of("echo", **key))).job == done
        assert (await engine.list(JobQuery(labels=(("order", "1"),)))).items[0].id == done.id


async def test_nothing_is_left_of_it(engine: EmbeddedEngine, store: Path) -> None:
    """The copy has no name, is open for reading, and is nobody else's while it has one."""
    copy = await engine.backup()
    with copy:
        assert copy.read(15) == b"SQLite format 3"
        assert left_in(store) == set()
        assert os.fstat(copy.fileno()).st_nlink == 0


async def test_submissions_go_on(
    faults: Faults, engine: EmbeddedEngine, puppets: Puppets, store: Path
) -> None:
    """While a copy is made, jobs are accepted, run, end and are waited for."""
    for statement in (VACUUM, CHECK):
        pausing = Pausing(faults, statement)
        making = asyncio.create_task(engine.backup())
        await pausing.reached.wait()
        if statement == CHECK:
            [name] = left_in(store)
            assert stat.S_IMODE((store / name).stat().st_mode) == 0o600
        job = await accepted(engine, job_of("echo", params={"value": statement}))
        assert (await ended(engine, job)).status is Status.COMPLETED
        assert not making.done()
        pausing.go_on()
        (await making).close()


async def test_one_after_the_other(faults: Faults, engine: EmbeddedEngine, store: Path) -> None:
    """Backups that are asked for at once are made one after the other."""
    pausing = Pausing(faults, VACUUM)
    making = [asyncio.create_task(engine.backup()) for _ in range(3)]
    await pausing.reached.wait()
    assert len(left_in(store)) == 1
    pausing.go_on()
    for copy in await asyncio.gather(*making):
        copy.close()
    assert sum(sql.startswith(VACUUM) for sql in faults.questions) == 3


async def test_nobody_waits_any_more(faults: Faults, engine: EmbeddedEngine, store: Path) -> None:
    """A copy for which nobody waits is closed, and the next can be made."""
    pausing = Pausing(faults, VACUUM)
    making = asyncio.create_task(engine.backup())
    await pausing.reached.wait()
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    pausing.go_on()
    (await engine.backup()).close()
    assert left_in(store) == set()


@pytest.mark.parametrize("at", [VACUUM, CHECK])
async def test_it_fails(faults: Faults, engine: EmbeddedEngine, store: Path, at: str) -> None:
    """A copy that cannot be made is refused, leaves nothing behind, and harms nothing."""
    faults.reading, faults.reading_at = disk_full(), at
    with pytest.raises(StoreUnavailable, match=r"no backup could be made \(FullError"):
        await engine.backup()
    assert left_in(store) == set()
    assert engine.health().ready
    faults.mend()
    (await engine.backup()).close()


async def test_limit_of_the_system(engine: EmbeddedEngine, store: Path) -> None:
    """When the system lets the copy grow no further, it is refused and leaves nothing behind."""
    await accepted(engine, job_of("echo", params={"value": "x" * 400_000}))
    with files_limited_to(300_000), pytest.raises(StoreUnavailable, match="no backup could be"):
        await engine.backup()
    assert left_in(store) == set()
    (await engine.backup()).close()


Usage = namedtuple("Usage", "free")


async def test_no_room_for_both(
    engine: EmbeddedEngine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room that a copy would not fit into is left to the jobs."""
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage(4095))
    with pytest.raises(StoreUnavailable, match=r"needs \d+ bytes in the data directory"):
        await engine.backup()
    assert left_in(store) == set()
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage(1 << 30))
    (await engine.backup()).close()


async def test_close_breaks_it_off(faults: Faults, open_embedded: Open, store: Path) -> None:
    """A close waits for no copy: it is broken off, and who waits for it or the next is told."""
    async with open_embedded():
        pass
    with closing(apsw.Connection(str(store / FILE))) as db:
        db.execute(
            "WITH n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n LIMIT 50000) "
            "INSERT INTO labels SELECT 'a', i, 0 FROM n"
        )
    engine = await open_embedded().__aenter__()
    pausing = Pausing(faults, VACUUM)
    making = [asyncio.create_task(engine.backup()) for _ in range(2)]
    await pausing.reached.wait()
    threading.Thread(target=pausing.go_on_after, args=(engine._journal.backups._stop,)).start()
    await engine.__aexit__(None, None, None)
    for answer in await asyncio.gather(*making, return_exceptions=True):
        assert isinstance(answer, StoreUnavailable)
        assert "closed" in str(answer)
    with pytest.raises(StoreUnavailable, match="closed"):
        await engine.backup()
    assert left_in(store) == set()


async def test_what_a_crash_left(open_embedded: Open, store: Path) -> None:
    """What a crash left of a copy is removed at the next start."""
    async with open_embedded():
        pass
    for ending in ("", "-journal"):
        (store / f"{FILE}.backup{ending}").write_bytes(b"half of it")
    async with open_embedded() as engine:
        assert left_in(store) == set()
        (await engine.backup()).close()


async def test_numbers_are_not_used_twice(
    open_embedded: Open, puppets: Puppets, store: Path
) -> None:
    """After a restore no change has a number that a client has seen, and resuming says so."""
    async with open_embedded() as engine:
        waits = await accepted(engine, job_of("hold", "waits", delay=60))
        copy = await engine.backup()
        seen = (await accepted(engine, job_of("hold", "lost", delay=60))).version
        stopped = await engine.cancel(waits.id)
    restore(copy, store)
    for _ in range(2):  # the second start is one of a journal
        async with open_embedded() as engine:
            again = await accepted(engine, job_of("hold", "new", delay=60))
            assert again.version > max(seen, stopped.version) + 1_000_000
            for since in (waits.version, seen, stopped.version):
                first = await anext(engine.watch(Watch(since=since)))
                assert first.kind is EventKind.RESET
            told = await anext(engine.watch(Watch(job_id=waits.id, since=stopped.version)))
            assert told.job == waits
            first = await anext(engine.watch(Watch(since=again.version)))
            assert (first.kind, first.version) == (EventKind.POSITION, again.version)
    assert again.version < seen + (1 << 33)


@pytest.mark.parametrize("present", ["backup", "empty", "missing"])
async def test_log_of_another_journal(
    open_embedded: Open, store: Path, present: str, puppets: Puppets
) -> None:
    """A backup beside the log of the journal before is refused: SQLite would mix the two.

    And a log without its journal is not thrown away.
    """
    async with open_embedded() as engine:
        copy = await engine.backup()
        await accepted(engine, job_of("hold", "a", delay=60))
        log = (store / f"{FILE}-wal").read_bytes()
    journal = (store / FILE).read_bytes()
    restore(copy, store)
    (store / f"{FILE}-wal").write_bytes(log)
    if present == "empty":
        (store / FILE).write_bytes(b"")
    elif present == "missing":
        (store / FILE).unlink()
    with pytest.raises(BadJournal, match=f"{FILE}-wal, is not.*rm -f .*{FILE}-wal .*-shm && "):
        await open_embedded().__aenter__()
    assert (store / f"{FILE}-wal").read_bytes() == log
    (store / f"{FILE}-wal").unlink()
    (store / FILE).write_bytes(journal)
    async with open_embedded() as engine:
        assert len((await engine.list(JobQuery())).items) == 1


async def test_damage_is_found(open_embedded: Open, store: Path) -> None:
    """An index that disagrees with its table gives no backup, but a service that says why."""
    async with open_embedded() as engine:
        job = await accepted(engine, job_of("echo", delay=60))
    db = apsw.Connection(str(store / FILE))
    db.execute("PRAGMA writable_schema = on")
    db.execute("UPDATE sqlite_schema SET sql = sql || ' AND 0' WHERE name = 'jobs_by_key'")
    db.close()
    db = apsw.Connection(str(store / FILE))
    db.execute("UPDATE jobs SET idempotency_key = 'k'")
    db.execute("PRAGMA writable_schema = on")
    db.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, ' AND 0', '') WHERE name = 'jobs_by_key'"
    )
    db.close()
    async with open_embedded() as engine:
        with pytest.raises(StoreUnavailable, match="missing from index jobs_by_key"):
            await engine.backup()
        assert "is damaged" in (engine.health().reason or "")
        assert (await engine.get(job.id)).id == job.id
        async with asyncio.timeout(LONG):
            with pytest.raises(StoreUnavailable, match="is damaged"):
                await engine.submit(job_of("echo"))
