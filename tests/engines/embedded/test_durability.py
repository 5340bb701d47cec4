"""What stands between an answer and a power cut."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree

import apsw

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.journal import FILE
from app.jobs.models import ErrorType, Job
from app.scheduler import Status
from tests.engines.clock import WallClock
from tests.engines.harness import accepted, ended, removed
from tests.engines.puppets import Puppets, job_of

Open = Callable[..., EmbeddedEngine]


class Disk(apsw.VFS):
    """The system's files, with a note of what was written, synced and opened."""

    def __init__(self) -> None:
        super().__init__("noting", "unix", makedefault=True)
        self.notes: list[str] = []
        self.opened: list[str] = []

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "_File":
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self.opened.append("a temporary file" if path is None else Path(path).name)
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._notes = disk.notes
        self._is_wal = bool(flags[0] & apsw.SQLITE_OPEN_WAL)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        if self._is_wal:
            self._notes.append("write")

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        if self._is_wal:
            self._notes.append("sync")


@contextmanager
def noting() -> Iterator[Disk]:
    """Note what happens to the files that are opened meanwhile."""
    disk = Disk()
    try:
        yield disk
    finally:
        disk.unregister()


async def test_sync_before_the_answer(open_embedded: Open, puppets: Puppets) -> None:
    """Whatever is answered has been synced: the last thing that happened to the log is a sync."""
    with noting() as disk:
        async with open_embedded() as engine:
            disk.notes.clear()
            job = await accepted(engine, job_of("deaf", "a"))
            assert disk.notes[-1] == "sync"
            disk.notes.clear()
            await engine.cancel(job.id)
            assert disk.notes[-1] == "sync"
            disk.notes.clear()
            puppets.end("a")
            await ended(engine, job)
            assert disk.notes[-1] == "sync"


async def test_no_other_disk(open_embedded: Open, clock: WallClock) -> None:
    """Large values that replace others need no room in the system's temporary directory."""
    new = job_of("echo", params={"value": "x" * 300_000})
    with noting() as disk:
        async with open_embedded(housekeeping_every=0.01) as engine:
            for _ in range(2):
                jobs = await asyncio.gather(*(accepted(engine, new) for _ in range(10)))
                for job in jobs:
                    await ended(engine, job)
                clock.set_by(100_000)
                for job in jobs:
                    await removed(engine, job)
        assert set(disk.opened) <= {FILE, f"{FILE}-wal", f"{FILE}-journal"}


async def test_power_cut_at_every_answer(
    open_embedded: Open, store: Path, tmp_path: Path, puppets: Puppets
) -> None:
    """A copy of the files at the moment of an answer has what was answered."""
    seen: list[Job] = []
    async with open_embedded(max_running=2) as engine:

        def answered(job: Job) -> None:
            copytree(store, tmp_path / str(len(seen)))
            seen.append(job)

        answered(await accepted(engine, job_of("hold", "a", idempotency_key="k")))
        answered(await accepted(engine, job_of("hold", "b")))
        answered(await accepted(engine, job_of("hold", "c")))
        puppets.end("a", "result")
        answered(await ended(engine, seen[0]))
        await puppets.begun("b")
        answered(await engine.cancel(seen[1].id))
        answered(await engine.cancel((await accepted(engine, job_of("hold", "d"))).id))
    expected = [Status.FAILED, Status.FAILED, Status.PENDING, Status.COMPLETED]
    expected += [Status.CANCELLED, Status.CANCELLED]
    for number, (job, status) in enumerate(zip(seen, expected, strict=True)):
        async with open_embedded(tmp_path / str(number), without=("hold",)) as engine:
            found = await engine.get(job.id)
            assert found.status is status
            assert found.params == job.params
            if job.done:
                assert found == job


async def test_no_step_before_the_row(
    open_embedded: Open, store: Path, tmp_path: Path, puppets: Puppets
) -> None:
    """At the first step of a coroutine, a copy of the files says that this attempt has begun."""

    def copy(name: str) -> None:
        copytree(store, tmp_path / str(len(puppets.started)))

    puppets.at_first_step = copy
    async with open_embedded(max_running=1) as engine:
        jobs = [await accepted(engine, job_of("persistent", name)) for name in "ab"]
        puppets.fail("a", ValueError("again"))
        for name, attempt in (("a", 2), ("b", 1)):
            puppets.end(name, attempt=attempt)
        for job in jobs:
            await ended(engine, job)
    attempts = {"a": itertools.count(1), "b": itertools.count(1)}
    begun = [(name, next(attempts[name])) for name in puppets.started]
    assert len(begun) == 3
    puppets.at_first_step = lambda name: None
    for number, (name, attempt) in enumerate(begun):
        async with open_embedded(tmp_path / str(number), without=("persistent",)) as engine:
            job = await engine.get(jobs["ab".index(name)].id)
            assert len(job.attempts) == attempt
            error = job.attempts[-1].error
            assert error is not None
            assert error.type is ErrorType.INTERRUPTED
