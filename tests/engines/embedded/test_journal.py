"""The file: where it lies, who may open it, and how it answers."""

import asyncio
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.journal import FILE, BadJournal, Journal
from app.engines.embedded.lock import StoreLocked
from app.jobs.errors import StoreUnavailable
from app.jobs.models import JobQuery
from app.scheduler import Status
from tests.engines.clock import skip
from tests.engines.embedded.faults import Faults
from tests.engines.harness import accepted, ended
from tests.engines.puppets import Puppets, job_of

Open = Callable[..., EmbeddedEngine]


async def test_modes(open_embedded: Open, store: Path) -> None:
    """Nobody else may look into the data directory, or into the files in it."""
    async with open_embedded() as engine:
        await accepted(engine, job_of("echo"))
        modes = modes_in(store)
    assert modes.pop(".") == 0o700
    assert set(modes) == {FILE, f"{FILE}-wal", f"{FILE}-shm", "lock"}
    assert set(modes.values()) == {0o600}


async def test_folders_are_made(open_embedded: Open, store: Path) -> None:
    """The data directory is made where it is missing, with those above it."""
    async with open_embedded(store / "a" / "b"):
        assert (store / "a" / "b" / FILE).is_file()


async def test_second_engine(open_embedded: Open) -> None:
    """A second engine on the same directory is refused, with the name of the one that holds it."""
    async with open_embedded() as engine:
        with pytest.raises(StoreLocked, match=f"process {os.getpid()} on "):
            await open_embedded().__aenter__()
        await accepted(engine, job_of("echo"))
    async with open_embedded():
        pass


@pytest.mark.parametrize("folder", ["/proc/awaitd-data", "/dev/null/awaitd-data", "/dev/null"])
async def test_no_directory(open_embedded: Open, folder: str) -> None:
    """A path that is no directory, and where none can be made, is refused with its name."""
    with pytest.raises(BadJournal, match=f"cannot use the data directory {folder}: "):
        await open_embedded(Path(folder)).__aenter__()


async def test_no_journal(open_embedded: Open, store: Path) -> None:
    """A file that is no journal is refused, with what to do, and left as it is."""
    write(store, b"not a database" * 100)
    with pytest.raises(BadJournal, match="put a backup in its place with"):
        await open_embedded().__aenter__()
    assert read(store) == b"not a database" * 100


async def test_damaged_journal(open_embedded: Open, store: Path) -> None:
    """A journal with a damaged page among those that opening reads is refused."""
    async with open_embedded(max_running=1) as engine:
        for _ in range(200):
            await accepted(engine, job_of("hold", "x" * 1000, delay=60))
    pages = read(store)
    write(store, pages[:4096] + b"\xff" * (len(pages) - 4096))
    with pytest.raises(BadJournal, match="is damaged"):
        await open_embedded().__aenter__()
    write(store, pages)
    async with open_embedded():  # the refusal has let the lock go
        pass


async def test_other_database(open_embedded: Open, store: Path) -> None:
    """A database of another program is refused and left as it is."""
    write(store, b"")
    assert tables(store, "CREATE TABLE jobs (mine)") == [("jobs",)]
    with pytest.raises(BadJournal, match="cannot be opened"):
        await open_embedded().__aenter__()
    assert tables(store) == [("jobs",)]


async def test_never_opened(store: Path) -> None:
    """A journal that was not opened says so, and can be closed."""
    journal = Journal(store, 0)
    assert journal.error == "the journal is closed"
    with pytest.raises(StoreUnavailable):
        journal.reader.get  # noqa: B018  the access raises
    await journal.close()


async def test_after_the_end(open_embedded: Open) -> None:
    """A closed engine answers every question with `StoreUnavailable`, and never hangs."""
    async with open_embedded() as engine:
        job = await accepted(engine, job_of("echo", delay=60))
    with pytest.raises(StoreUnavailable):
        await engine.get(job.id)
    with pytest.raises(StoreUnavailable):
        await engine.cancel(job.id)
    with pytest.raises(StoreUnavailable):
        await engine.list(JobQuery())
    assert not engine.health().ready


async def test_reading_fails(faults: Faults, engine: EmbeddedEngine) -> None:
    """A journal that cannot be read is a store that is unavailable, not a defect of the server."""
    job = await accepted(engine, job_of("echo"))
    faults.reading = apsw.IOError("disk I/O error")
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        await engine.get(job.id)
    faults.mend()
    assert (await ended(engine, job)).status is Status.COMPLETED


async def test_journal_does_not_answer(
    faults: Faults, engine: EmbeddedEngine, puppets: Puppets
) -> None:
    """A caller does not wait for ever for a disk that hangs; the job is there when it wakes up."""
    asking, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hang(sql: str) -> None:
        if sql == "COMMIT":
            loop.call_soon_threadsafe(asking.set)
            assert go_on.wait(10)

    faults.before = hang
    new = job_of("echo", idempotency_key="k", fingerprint=b"f")
    submitting = asyncio.create_task(engine.submit(new))
    await asking.wait()
    skip(11)
    with pytest.raises(StoreUnavailable, match="has not answered"):
        await submitting
    go_on.set()
    again = await engine.submit(new)
    assert again.replayed
    assert (await ended(engine, again.job)).status is Status.COMPLETED


def modes_in(folder: Path) -> dict[str, int]:
    """The permissions of a folder and of what lies in it."""
    paths = {path.name: path for path in folder.iterdir()} | {".": folder}
    return {name: stat.S_IMODE(path.stat().st_mode) for name, path in paths.items()}


def write(folder: Path, content: bytes) -> None:
    """Put this where the journal would be."""
    folder.mkdir(exist_ok=True)
    (folder / FILE).write_bytes(content)


def read(folder: Path) -> bytes:
    """What is there."""
    return (folder / FILE).read_bytes()


def tables(folder: Path, sql: str = "") -> list[Any]:
    """Execute something in the file; gives the tables that are there then."""
    db = apsw.Connection(str(folder / FILE))
    db.execute(sql)
    names = db.execute("SELECT name FROM sqlite_schema").fetchall()
    db.close()
    return names
