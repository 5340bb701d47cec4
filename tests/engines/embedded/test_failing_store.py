"""The engine on a store that fails: no false answer, nothing lost, well again by itself."""

import asyncio
import gc
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from app.engines.embedded import EmbeddedEngine, writer
from app.engines.embedded.journal import FILE
from app.jobs.errors import StoreUnavailable
from app.jobs.models import JobQuery
from app.scheduler import Status
from tests.engines.clock import WallClock, skip
from tests.engines.embedded.faults import Faults, disk_full, hang
from tests.engines.embedded.script import Script, persist, until_ready
from tests.engines.harness import accepted, ended, idle
from tests.engines.puppets import Puppets, job_of
from tests.support.disk import Disk, Operation, full

Open = Callable[..., EmbeddedEngine]


async def test_disk_full(faults: Faults, engine: EmbeddedEngine, puppets: Puppets) -> None:
    """On a full disk writes are refused, reads go on, and what ran is not lost."""
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    faults.fail(disk_full())
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await engine.submit(job_of("echo"))
    with pytest.raises(StoreUnavailable):
        await engine.cancel(job.id)
    puppets.end("a", "kept")
    assert not engine.health().ready
    assert "FullError" in (engine.health().reason or "")
    assert (await engine.wait(job.id, timeout=0.01)).status is Status.RUNNING
    assert len((await engine.list(JobQuery())).items) == 1
    faults.mend()
    await until_ready(engine)
    job = await ended(engine, job)
    assert (job.status, job.result, job.cancel_requested_at) == (Status.COMPLETED, b'"kept"', None)
    assert (await ended(engine, await accepted(engine, job_of("echo")))).done


async def test_full_disk_with_nothing_to_do(store: Path, open_embedded: Open) -> None:
    """A full disk is not taken for sound because nothing waits to be written."""
    with Disk(store) as disk:
        async with open_embedded() as engine:
            failed = 0

            def before(operation: Operation) -> None:
                nonlocal failed
                if operation.kind != "open":
                    failed += 1
                    raise full()

            disk.before = before
            with pytest.raises(StoreUnavailable):
                await engine.submit(job_of("echo"))
            while failed < 4:
                assert not engine.health().ready
                await asyncio.sleep(0.001)
            disk.mend()
            await until_ready(engine)


async def test_hanging_disk(
    faults: Faults, engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a write does not return, submissions are refused in time and health says why."""
    monkeypatch.setattr(writer, "SLOW", 0.01)
    hanging, go_on = hang(faults)
    submitting = [asyncio.create_task(engine.submit(job_of("echo"))) for _ in range(2)]
    await hanging.wait()
    skip(10)
    answers = await asyncio.gather(*submitting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 2
    await asyncio.sleep(0.01)
    reason, found = engine.health().reason, (await engine.list(JobQuery())).items
    go_on.set()
    assert "has not returned" in (reason or "")
    assert found == []
    await until_ready(engine)


@pytest.mark.parametrize("how", ["moved", "replaced"])
async def test_journal_is_moved(
    engine: EmbeddedEngine, open_embedded: Open, store: Path, how: str
) -> None:
    """Nothing is accepted into a file that the next start would not find."""
    job = await accepted(engine, job_of("hold", "a"))
    path, elsewhere = store / FILE, store / "elsewhere"
    content = path.read_bytes()
    path.rename(elsewhere)
    if how == "replaced":
        path.write_bytes(content)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await engine.submit(job_of("echo"))
    assert not engine.health().ready
    assert (await engine.get(job.id)).status is Status.RUNNING
    elsewhere.rename(path)
    await until_ready(engine)
    assert (await ended(engine, await accepted(engine, job_of("echo")))).done


async def test_finished_jobs_can_be_cancelled(faults: Faults, engine: EmbeddedEngine) -> None:
    """The cancel of a finished job needs no store that can be written."""
    job = await ended(engine, await accepted(engine, job_of("echo")))
    faults.fail(disk_full())
    assert await engine.cancel(job.id) == job
    assert await engine.cancel(job.id, if_version=job.version) == job


async def test_refused_submission(faults: Faults, open_embedded: Open, puppets: Puppets) -> None:
    """A refused submission leaves nothing behind: no job, no key, no slot, no place in a queue."""
    async with open_embedded(max_running=1, max_pending=1) as engine:
        for name in ("running", "pending"):
            new = job_of("hold", name, idempotency_key=name, fingerprint=b"f")
            faults.fail(disk_full())
            racing = [engine.submit(new) for _ in range(3)]
            answers = await asyncio.gather(*racing, return_exceptions=True)
            assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
            assert engine.health().running + engine.health().pending == (name == "pending")
            faults.mend()
            await until_ready(engine)
            await accepted(engine, new)
        assert (engine.health().running, engine.health().pending) == (1, 1)
        for name in ("running", "pending"):
            puppets.end(name)
        await idle(engine)


async def test_refused_with_nobody_waiting(faults: Faults, engine: EmbeddedEngine) -> None:
    """A refusal for which nobody waits any more is no error of the event loop."""
    errors: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: errors.append(context))
    faults.fail(disk_full())
    caller = asyncio.create_task(engine.submit(job_of("echo")))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(StoreUnavailable):
        await engine.submit(job_of("echo"))
    assert caller.cancelled()
    del caller  # with it goes the last reference to what it waited for
    faults.mend()
    await until_ready(engine)
    await ended(engine, await accepted(engine, job_of("echo")))
    gc.collect()
    loop.set_exception_handler(None)
    assert not errors


async def test_submission_that_cannot_be_encoded(engine: EmbeddedEngine) -> None:
    """A submission that is no text is refused, and leaves nothing behind."""
    new = job_of("echo", labels={"a": "\ud800"}, idempotency_key="k", fingerprint=b"f")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await engine.submit(new)
    assert (engine.health().running, engine.health().ready) == (0, True)


async def test_real_limit_of_pages(open_embedded: Open, store: Path) -> None:
    """When SQLite itself finds no room for a large job, a small one still goes in."""
    pages: list[int] = [60]
    hook = lambda db: db.pragma("max_page_count", pages[0])  # noqa: E731
    apsw.connection_hooks.append(hook)
    try:
        async with open_embedded() as engine:
            large = job_of("echo", params={"value": "x" * 400_000})
            with pytest.raises(StoreUnavailable):
                await engine.submit(large)
            assert (await ended(engine, await accepted(engine, job_of("echo")))).done
            pages[0] = 1_000
            assert (await persist(engine, lambda: engine.submit(large))).job.done is False
            await idle(engine)
    finally:
        apsw.connection_hooks.remove(hook)


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_limit_of_the_system(engine: EmbeddedEngine, store: Path, puppets: Puppets) -> None:
    """When the system lets the log grow no further, outcomes are kept until it does."""
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    with files_limited_to(size_of(store / f"{FILE}-wal")):
        puppets.end("a", "kept")
        with pytest.raises(StoreUnavailable):
            await engine.submit(job_of("echo"))
        assert (await engine.get(job.id)).status is Status.RUNNING
    await until_ready(engine)
    assert (await ended(engine, job)).result == b'"kept"'


def size_of(path: Path) -> int:
    """The bytes of a file."""
    return path.stat().st_size


def denying_once(faults: Faults, number: int) -> Callable[[str], None]:
    """Lets the COMMIT of this number report an error, and no other."""
    count = 0

    def before(sql: str) -> None:
        nonlocal count
        count += sql == "COMMIT"
        denies = sql == "COMMIT" and count == number
        faults.after_commit = apsw.SQLITE_IOERR if denies else apsw.SQLITE_OK

    return before


class FailingOnce:
    """Fails the statement of a number, and no other."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0

    def __call__(self, sql: str) -> None:
        self.count += 1
        if self.count == self.number:
            raise disk_full()


async def test_failure_of_every_statement(
    faults: Faults, open_embedded: Open, puppets: Puppets, clock: WallClock
) -> None:
    """Whichever statement fails, every job of a run ends as it would have, started as often."""
    async with open_embedded(max_running=1) as engine:
        script = Script(engine, puppets, clock)
        number, happened = 0, True
        while happened:
            number += 1
            faults.before = before = FailingOnce(number)
            await script.play(number)
            happened = before.count >= number
            faults.mend()
    assert number > 50


async def test_failure_of_every_commit(
    faults: Faults, open_embedded: Open, puppets: Puppets, clock: WallClock
) -> None:
    """Whichever COMMIT reports an error after it was made, nothing is made twice or denied."""
    async with open_embedded(max_running=1) as engine:
        script = Script(engine, puppets, clock)
        for number in range(1, 14):
            faults.before = denying_once(faults, number)
            await script.play(number)
            faults.mend()


async def test_opens_on_a_full_disk(faults: Faults, open_embedded: Open, puppets: Puppets) -> None:
    """A store that can only be read is opened and read; crashed jobs are recovered afterwards."""
    async with open_embedded(cancel_grace=0.01) as engine:
        job = await accepted(engine, job_of("deaf", "a"))
        await puppets.begun("a")
    puppets.end("a", "too late")
    faults.fail(disk_full(), "BEGIN")
    opening = asyncio.create_task(open_embedded().__aenter__())
    while not faults.statements[-1].startswith("BEGIN"):  # noqa: ASYNC110  no event says
        await asyncio.sleep(0.001)
    skip(11)
    engine = await opening
    assert not engine.health().ready
    assert (await engine.get(job.id)).status is Status.RUNNING
    faults.mend()
    await puppets.begun("a", attempt=2)
    puppets.end("a", "again", attempt=2)
    assert (await ended(engine, job)).result == b'"again"'
    await engine.__aexit__(None, None, None)
