"""The end of an engine: bounded, and with nothing written by halves."""

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.config import EmbeddedConfig
from app.engines.embedded.journal import BadJournal
from app.engines.embedded.lock import FolderLock
from app.engines.embedded.writer import Writer
from app.jobs.errors import ShuttingDown, StoreUnavailable
from app.jobs.models import ErrorType, Job
from app.scheduler import Status
from tests.engines.clock import skip
from tests.engines.embedded.faults import START, WRITER, Faults, disk_full, hang, turns
from tests.engines.harness import LONG, accepted, ended
from tests.engines.puppets import Puppets, job_of

Open = Callable[..., EmbeddedEngine]


async def close(engine: EmbeddedEngine) -> None:
    """Leave the engine."""
    await engine.__aexit__(None, None, None)


async def test_grace_counts_from_the_drain(open_embedded: Open, puppets: Puppets) -> None:
    """What passes between the drain and the end is part of the grace period."""
    engine = await open_embedded(shutdown_grace=60).__aenter__()
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    engine.drain()
    skip(61)
    await close(engine)
    async with open_embedded() as engine:
        assert (await engine.get(job.id)).status is Status.FAILED
    assert puppets.cancels["a"] == 1


async def test_drain_twice(open_embedded: Open, puppets: Puppets) -> None:
    """A second drain does not begin the grace period anew."""
    engine = await open_embedded(shutdown_grace=60).__aenter__()
    await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    engine.drain()
    skip(61)
    engine.drain()
    await close(engine)
    assert puppets.cancels["a"] == 1


async def test_nothing_starts_while_draining(open_embedded: Open, puppets: Puppets) -> None:
    """While it drains, neither a free slot nor a due time starts a job."""
    async with open_embedded(max_running=1, shutdown_grace=60) as engine:
        await accepted(engine, job_of("hold", "a"))
        await accepted(engine, job_of("hold", "waits"))
        await accepted(engine, job_of("hold", "is delayed", delay=5))
        await puppets.begun("a")
        engine.drain()
        skip(6)
        puppets.end("a")
    assert puppets.started == ["a"]


@pytest.mark.parametrize("max_running", [0, 1])
async def test_submission_in_flight(
    faults: Faults, open_embedded: Open, puppets: Puppets, max_running: int
) -> None:
    """A submission that is being written at the stop is answered, and its job is accounted for."""
    engine = await open_embedded(max_running=max_running).__aenter__()
    hanging, go_on = hang(faults)
    submitting = asyncio.create_task(engine.submit(job_of("persistent", "a")))
    await hanging.wait()
    closing = asyncio.create_task(close(engine))
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDown):
        await engine.submit(job_of("echo"))
    go_on.set()
    job = (await submitting).job
    await closing
    faults.mend()
    puppets.end("a", attempt=1 + max_running)
    async with open_embedded() as engine:
        assert (await ended(engine, job)).attempt == 1 + max_running
    assert puppets.cancels["a"] <= max_running


async def closed_in_a_start(
    engine: EmbeddedEngine, faults: Faults, puppets: Puppets
) -> tuple[Job, asyncio.Task[None]]:
    """A job of which the start is still being written when the engine is closed; and the close."""
    first = await accepted(engine, job_of("hold", "first"))
    job = await accepted(engine, job_of("persistent", "a"))
    await puppets.begun("first")
    hanging, go_on = hang(faults, START)
    puppets.end("first")
    await ended(engine, first)
    await hanging.wait()
    closing = asyncio.create_task(close(engine))
    await turns()
    go_on.set()
    return job, closing


async def test_start_in_flight(
    faults: Faults, open_embedded: Open, puppets: Puppets, caplog: pytest.LogCaptureFixture
) -> None:
    """A job whose start takes longer to write than every grace does not run any more."""
    engine = await open_embedded(max_running=1, cancel_grace=0).__aenter__()
    job, closing = await closed_in_a_start(engine, faults, puppets)
    await closing
    assert puppets.started == ["first"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    faults.mend()
    puppets.end("a", attempt=2)
    async with open_embedded() as engine:
        job = await ended(engine, job)
    assert (job.status, job.attempt) == (Status.COMPLETED, 2)


async def test_start_between_the_graces(
    faults: Faults, open_embedded: Open, puppets: Puppets
) -> None:
    """A job whose start is written when the others have been interrupted does not begin either."""
    engine = await open_embedded(max_running=1, cancel_grace=60).__aenter__()
    job, closing = await closed_in_a_start(engine, faults, puppets)
    await asyncio.wait_for(closing, LONG)
    assert puppets.started == ["first"]
    faults.mend()
    puppets.end("a", attempt=2)
    async with open_embedded() as engine:
        assert (await ended(engine, job)).attempt == 2


async def test_end_after_the_stop(
    open_embedded: Open, puppets: Puppets, caplog: pytest.LogCaptureFixture
) -> None:
    """A job that outlasts every grace ends without an error in the log."""
    engine = await open_embedded(cancel_grace=0).__aenter__()
    await accepted(engine, job_of("deaf", "a"))
    await puppets.begun("a")
    await close(engine)
    puppets.end("a")
    await turns()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_opening_finds_damage(faults: Faults, open_embedded: Open, puppets: Puppets) -> None:
    """An opening that fails after the journal was opened leaves no thread and no lock behind."""
    faults.reading, faults.reading_at = apsw.IOError("disk I/O error"), "GROUP BY"
    with pytest.raises(BadJournal, match="cannot be opened"):
        await open_embedded().__aenter__()
    faults.mend()
    async with open_embedded():
        pass


async def test_cancel_in_flight(faults: Faults, open_embedded: Open, puppets: Puppets) -> None:
    """A cancel that is being written at the stop, behind the start of its job, is on record."""
    engine = await open_embedded(max_running=1, cancel_grace=0).__aenter__()
    first = await accepted(engine, job_of("hold", "first"))
    job = await accepted(engine, job_of("persistent", "a"))
    hanging, go_on = hang(faults, START)
    puppets.end("first")
    await ended(engine, first)
    await hanging.wait()
    cancelling = asyncio.create_task(engine.cancel(job.id))
    await turns()
    closing = asyncio.create_task(close(engine))
    await turns()
    go_on.set()
    await closing
    assert (await cancelling).cancel_requested_at is not None
    async with open_embedded() as engine:
        assert (await engine.get(job.id)).status is Status.CANCELLED
    assert puppets.started == ["first"]


async def test_outcomes_in_flight(faults: Faults, open_embedded: Open, puppets: Puppets) -> None:
    """Outcomes that are being written when every grace is over are written; nothing else is."""
    engine = await open_embedded(cancel_grace=0).__aenter__()
    jobs = [await accepted(engine, job_of("hold", name)) for name in "abc"]
    for name in "abc":
        await puppets.begun(name)
    hanging, go_on = hang(faults)
    for name in "abc":
        puppets.end(name, name)
    await hanging.wait()
    closing = asyncio.create_task(close(engine))
    await turns()
    with pytest.raises(StoreUnavailable, match="closed"):
        await engine.cancel(jobs[0].id)
    go_on.set()
    await closing
    async with open_embedded() as engine:
        assert [(await engine.get(job.id)).status for job in jobs] == [Status.COMPLETED] * 3


async def test_store_fails_for_a_moment(
    faults: Faults, open_embedded: Open, puppets: Puppets
) -> None:
    """An outcome survives a store that fails just when the engine stops."""
    count = 0

    def before(sql: str) -> None:
        nonlocal count
        count += sql == "COMMIT"
        if sql == "COMMIT" and count < 3:
            raise disk_full()

    engine = await open_embedded(cancel_grace=0).__aenter__()
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    faults.before = before
    await close(engine)
    faults.mend()
    async with open_embedded() as engine:
        error = (await engine.get(job.id)).error
    assert error is not None
    assert (error.type, count) == (ErrorType.INTERRUPTED, 3)
    assert "shut down" in error.message


async def test_store_fails_for_good(
    faults: Faults, open_embedded: Open, puppets: Puppets, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that cannot be written does not keep the engine from ending; then a crash it is."""
    engine = await open_embedded(cancel_grace=0.01).__aenter__()
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    faults.fail(disk_full())
    puppets.end("a", "lost")
    with pytest.raises(StoreUnavailable):
        await engine.submit(job_of("echo"))
    await close(engine)
    assert "1 changes could not be written before the end" in caplog.text
    faults.mend()
    async with open_embedded() as engine:
        job = await engine.get(job.id)
    assert job.error is not None
    assert job.error.type is ErrorType.INTERRUPTED


async def test_opening_is_cancelled(faults: Faults, open_embedded: Open, puppets: Puppets) -> None:
    """An opening that is cancelled leaves no thread and no lock behind."""
    async with open_embedded(cancel_grace=0.01) as engine:
        await accepted(engine, job_of("deaf", "a"))
        await puppets.begun("a")
    for attempt in (1, 2):
        puppets.end("a", attempt=attempt)
    faults.fail(disk_full(), "BEGIN")
    opening = asyncio.create_task(open_embedded().__aenter__())
    while not faults.statements[-1].startswith("BEGIN"):  # noqa: ASYNC110  no event says
        await asyncio.sleep(0.001)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    faults.mend()
    async with open_embedded():
        pass
    for thread in threading.enumerate():
        if thread.name == WRITER:
            thread.join(10)
            assert not thread.is_alive()


async def test_ending_is_cancelled(open_embedded: Open, puppets: Puppets) -> None:
    """An end that is cancelled while it waits for jobs still closes the journal."""
    engine = await open_embedded(shutdown_grace=60).__aenter__()
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    closing = asyncio.create_task(close(engine))
    await turns()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    async with open_embedded() as engine:
        assert (await engine.get(job.id)).status is Status.FAILED


def test_loop_ends_first(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When the loop ends before the engine was left, its thread goes on without an error."""
    config = EmbeddedConfig(folder=store, watch_loop=False)

    async def leave_it_open() -> EmbeddedEngine:
        engine = await EmbeddedEngine(Puppets().registry(), config).__aenter__()
        await accepted(engine, job_of("echo", delay=60))
        submitting = asyncio.create_task(engine.submit(job_of("echo", delay=60)))
        await asyncio.sleep(0)
        submitting.cancel()
        return engine

    engine = asyncio.run(leave_it_open())
    caplog.clear()  # asyncio's debug mode says which steps were slow
    with caplog.at_level(logging.DEBUG):
        writer = engine._journal._writer
        assert isinstance(writer, Writer)
        writer._calls.put(None)  # as its close would
        writer._thread.join(10)
    assert not writer._thread.is_alive()
    assert not caplog.records
    engine._journal._release()
    lock = FolderLock(store)
    lock.acquire()
    lock.release()
