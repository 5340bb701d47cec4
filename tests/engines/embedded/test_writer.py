"""The thread that writes: what it answers, and what it does when the store fails."""

import asyncio
import logging
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest

from app.engines.embedded.batch import Write
from app.engines.embedded.commit import RETRY_EVERY
from app.engines.embedded.writer import GATHERS, LARGE, MANY, MAX_BATCH, Writer
from app.jobs.errors import StoreUnavailable
from tests.engines.embedded.faults import Faults, disk_full, hang, turns
from tests.support.disk import Disk, Operation, full


@dataclass
class Add:
    """Adds a number, which may be there only once; says so."""

    number: int

    def run(self, db: apsw.Connection) -> str | None:
        db.execute("INSERT INTO numbers VALUES (?)", (self.number,))
        return f"added {self.number}"

    def happened(self, db: apsw.Connection) -> str | None:
        found = db.execute("SELECT 1 FROM numbers WHERE number = ?", (self.number,)).fetchone()
        return f"found {self.number}" if found else None


@dataclass
class AddThenRaise(Add):
    """Adds a number, then fails by a defect of its own."""

    def run(self, db: apsw.Connection) -> str | None:
        super().run(db)
        raise ZeroDivisionError("a defect")


class Bench:
    """A writer on a table of numbers, and what it has answered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: list[Any] = []
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.writer = Writer(self._connect, self._post)

    def put(self, change: Any) -> None:
        """Queue a change that may be refused."""
        self.writer.put(Write(change, self.note, lambda error: self.note(error)))

    def keep(self, change: Any) -> None:
        """Queue a change that may not."""
        self.writer.put(Write(change, self.note))

    async def answered(self, count: int) -> list[Any]:
        """The answers, once there are so many; a refusal by its class."""
        async with asyncio.timeout(10):
            while len(self.answers) < count:
                self._changed.clear()
                await self._changed.wait()
        return [type(a) if isinstance(a, Exception) else a for a in self.answers]

    async def close(self) -> None:
        """Close the writer."""
        ended = asyncio.Event()
        self.writer.close(ended.set)
        await ended.wait()

    def error(self) -> str | None:
        """What the writer says is wrong."""
        return self.writer.error

    def numbers(self) -> list[Any]:
        """What another connection sees."""
        db = apsw.Connection(str(self.path))
        rows = db.execute("SELECT number FROM numbers ORDER BY rowid").fetchall()
        db.close()
        return [number for (number,) in rows]

    def _connect(self) -> apsw.Connection:
        db = apsw.Connection(str(self.path))
        db.set_busy_timeout(5_000)
        db.pragma("journal_mode", "wal")
        db.execute(
            "CREATE TABLE IF NOT EXISTS numbers (number INTEGER UNIQUE);"
            "CREATE TABLE IF NOT EXISTS marks AS SELECT 0 AS last_version"
        )
        return db

    def _post(self, call: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(call)

    def note(self, answer: Any) -> None:
        """Keep an answer."""
        self.answers.append(answer)
        self._changed.set()


@pytest.fixture
async def bench(faults: Faults, store: Path) -> AsyncIterator[Bench]:
    """A writer that has written once, and is closed after the test."""
    bench = Bench(store.with_suffix(".sqlite3"))
    bench.writer.start()
    bench.put(Add(0))
    await bench.answered(1)
    bench.answers.clear()
    yield bench
    await bench.close()


async def test_answers_come_after_the_commit(bench: Bench) -> None:
    """When a change is answered, others can see it."""
    seen: list[list[Any]] = []
    bench.writer.put(Write(Add(1), lambda _: seen.append(bench.numbers())))
    bench.put(Add(2))
    await bench.answered(1)
    assert 1 in seen[0]


async def test_group_commit(bench: Bench, faults: Faults) -> None:
    """What queues up during one transaction goes into the next, in order, with one commit."""
    hanging, go_on = hang(faults)
    bench.put(Add(1))
    await hanging.wait()
    before = faults.commits
    for number in range(2, 100):
        bench.put(Add(number))
    go_on.set()
    assert await bench.answered(99) == [f"added {number}" for number in range(1, 100)]
    assert faults.commits - before == 2
    assert bench.numbers() == list(range(100))


async def test_batches_are_bounded(bench: Bench, faults: Faults) -> None:
    """A long queue is written in several transactions: its first need not wait for all."""
    hanging, go_on = hang(faults)
    bench.put(Add(1))
    await hanging.wait()
    before = faults.commits
    for number in range(2, 2 + MAX_BATCH + 1):
        bench.put(Add(number))
    go_on.set()
    await bench.answered(MAX_BATCH + 2)
    assert faults.commits - before == 1 + 2


@pytest.mark.parametrize("defect", [AddThenRaise(1), Add(0), Add(1 << 63)])
async def test_defect(
    bench: Bench, faults: Faults, caplog: pytest.LogCaptureFixture, defect: Add
) -> None:
    """A change that cannot be made is refused and leaves nothing; those beside it go on."""
    hanging, go_on = hang(faults)
    bench.put(Add(10))
    await hanging.wait()
    for change in (Add(11), defect, Add(12)):
        bench.put(change)
    go_on.set()
    answers = await bench.answered(4)
    assert answers == ["added 10", "added 11", StoreUnavailable, "added 12"]
    assert bench.numbers() == [0, 10, 11, 12]
    assert bench.writer.error is None
    assert "could not be made" in caplog.text


async def test_defect_that_may_not_be_refused(bench: Bench) -> None:
    """A change that may not be refused, and that even a sound store could not make, gives None."""
    bench.keep(AddThenRaise(1))
    bench.keep(Add(2))
    assert await bench.answered(2) == [None, "added 2"]


def fail(answer: str | None) -> None:
    """A callback with a defect."""
    raise ZeroDivisionError(answer)


async def test_callback_raises(
    bench: Bench, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    """A callback that raises keeps no other change from its answer."""
    hanging, go_on = hang(faults)
    bench.put(Add(1))
    await hanging.wait()
    bench.writer.put(Write(Add(2), fail))
    bench.put(Add(3))
    go_on.set()
    assert await bench.answered(2) == ["added 1", "added 3"]
    assert "could not be followed up" in caplog.text


@pytest.mark.parametrize("at", ["BEGIN", "INSERT", "COMMIT"])
async def test_store_fails(
    bench: Bench, faults: Faults, caplog: pytest.LogCaptureFixture, at: str
) -> None:
    """While the store fails, changes are refused or kept; the kept ones are made in order then."""
    faults.fail(disk_full(), at)
    bench.keep(Add(1))
    bench.put(Add(2))
    bench.keep(Add(3))
    assert await bench.answered(1) == [StoreUnavailable]
    bench.put(Add(4))
    await bench.answered(2)
    assert bench.error() == "FullError: database or disk is full"
    faults.mend()
    bench.put(Add(5))
    answers = await bench.answered(5)
    assert answers[2:] == ["added 1", "added 3", "added 5"]
    assert bench.numbers() == [0, 1, 3, 5]
    assert bench.error() is None
    assert caplog.text.count("cannot be written") == 1
    assert caplog.text.count("can be written again") == 1


async def test_recovers_without_traffic(bench: Bench, faults: Faults) -> None:
    """When the store is sound again, that is found out within two seconds, with nothing to do."""
    faults.fail(disk_full())
    bench.put(Add(1))
    await bench.answered(1)
    faults.mend()
    began = asyncio.get_running_loop().time()
    while bench.writer.error is not None:  # noqa: ASYNC110  no event says
        await asyncio.sleep(0.01)
    assert asyncio.get_running_loop().time() - began < 2 * RETRY_EVERY


async def test_disk_fails_at_the_close_too(store: Path) -> None:
    """A connection that cannot be closed properly either does not end the thread."""
    with Disk(store.parent) as disk:
        bench = Bench(store.with_suffix(".sqlite3"))
        bench.writer.start()
        bench.put(Add(0))
        await bench.answered(1)

        def before(operation: Operation) -> None:
            if operation.kind != "open":
                raise full()

        disk.before = before
        for number in (1, 2):
            bench.put(Add(number))
            await bench.answered(number + 1)
        disk.mend()
        bench.put(Add(3))
        assert "added 3" in await bench.answered(4)
        await bench.close()


async def test_nearly_full(bench: Bench, faults: Faults, caplog: pytest.LogCaptureFixture) -> None:
    """A store that takes some changes and not others does not flood the log."""
    faults.fail(disk_full(), "INSERT")
    for number in range(1, 20):
        bench.put(Add(number))
        await bench.answered(number)
        while bench.error() is not None:  # noqa: ASYNC110  no event says
            await asyncio.sleep(0.001)
    assert caplog.text.count("cannot be written") == 1
    assert caplog.text.count("can be written again") == 1


async def test_nothing_to_do_is_no_proof(bench: Bench, faults: Faults) -> None:
    """A failing store is taken for sound only after it has written something."""
    faults.fail(disk_full(), "UPDATE marks")
    faults.after_commit = apsw.SQLITE_IOERR
    bench.put(Add(1))
    await bench.answered(1)
    faults.after_commit = apsw.SQLITE_OK
    count = len(faults.statements)
    while len(faults.statements) < count + 4:  # noqa: ASYNC110  no event says
        await asyncio.sleep(0.01)
    assert bench.writer.error == "FullError: database or disk is full"


async def test_commit_fails_though_it_was_made(bench: Bench, faults: Faults) -> None:
    """After a failed COMMIT the journal is asked what happened: nothing is made twice or denied."""
    faults.after_commit = apsw.SQLITE_IOERR
    bench.keep(Add(1))
    bench.put(Add(2))
    bench.put(AddThenRaise(3))
    answers = await bench.answered(3)
    faults.mend()
    assert answers == ["found 1", "found 2", StoreUnavailable]
    assert bench.numbers() == [0, 1, 2]


async def test_fate_cannot_be_read(bench: Bench, faults: Faults) -> None:
    """While the journal cannot be asked what happened, nobody is told anything."""
    hanging, go_on = hang(faults)
    bench.put(Add(1))
    await hanging.wait()
    faults.after_commit = apsw.SQLITE_IOERR
    faults.fail(apsw.IOError("disk I/O error"), "SELECT")
    go_on.set()
    bench.put(Add(2))
    assert await bench.answered(1) == [StoreUnavailable]
    faults.mend()
    bench.put(Add(3))
    assert await bench.answered(3) == [StoreUnavailable, "found 1", "added 3"]


async def test_unforeseen_error(bench: Bench, faults: Faults) -> None:
    """An error that nobody thought of does not end the thread."""

    def before(sql: str) -> None:
        if sql == "COMMIT":
            raise ZeroDivisionError("unforeseen")

    faults.before = before
    bench.put(Add(1))
    bench.keep(Add(2))
    bench.put(Add(3))
    await bench.answered(1)
    faults.mend()
    bench.put(Add(4))
    assert (await bench.answered(4))[-2:] == ["added 2", "added 4"]


async def test_store_cannot_be_opened(bench: Bench, faults: Faults) -> None:
    """A store that cannot even be opened for a while is opened later."""
    faults.fail(apsw.CantOpenError("unable to open database file"))
    for number in (1, 2):
        bench.put(Add(number))
        await bench.answered(number)
    faults.mend()
    bench.put(Add(3))
    assert await bench.answered(3) == [StoreUnavailable, StoreUnavailable, "added 3"]


async def test_close_writes_the_rest(faults: Faults, store: Path) -> None:
    """Closing writes and answers what is queued before it says that it has ended."""
    bench = Bench(store.with_suffix(".sqlite3"))
    for number in range(5):
        bench.put(Add(number))
    bench.writer.start()
    await bench.close()
    assert bench.answers == [f"added {number}" for number in range(5)]


@pytest.mark.parametrize(
    "break_it",
    [
        lambda faults: faults.fail(disk_full()),
        lambda faults: faults.fail(disk_full(), "COMMIT"),
    ],
)
async def test_close_of_a_failing_store(
    faults: Faults,
    store: Path,
    caplog: pytest.LogCaptureFixture,
    break_it: Callable[[Faults], None],
) -> None:
    """Closing does not wait for a failing store: it refuses what it may, and says what is lost."""
    bench = Bench(store.with_suffix(".sqlite3"))
    break_it(faults)
    bench.keep(Add(1))
    bench.put(Add(2))
    bench.writer.start()
    with caplog.at_level(logging.ERROR):
        await bench.close()
    assert [type(answer) for answer in bench.answers] == [StoreUnavailable]
    assert "1 changes could not be written" in caplog.text


async def test_what_can_wait_shares_a_commit(
    bench: Bench, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that nobody waits for is made with the next one, or a moment later by itself."""
    before = faults.commits
    monkeypatch.setattr("app.engines.embedded.writer.MOMENT", 3600.0)
    bench.writer.put(Write(Add(1), bench.note, can_wait=True))
    await turns(3)
    assert faults.commits == before
    bench.put(Add(2))
    assert await bench.answered(2) == ["added 1", "added 2"]
    assert faults.commits == before + 1
    monkeypatch.setattr("app.engines.embedded.writer.MOMENT", 0.001)
    bench.writer.put(Write(Add(3), bench.note, can_wait=True))
    assert (await bench.answered(3))[-1] == "added 3"


async def test_hurry(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who begins to wait for what could wait does not pay for it."""
    monkeypatch.setattr("app.engines.embedded.writer.MOMENT", 3600.0)
    bench.writer.put(Write(Add(1), bench.note, can_wait=True))
    await turns(3)
    assert bench.answers == []
    bench.writer.hurry()
    assert await bench.answered(1) == ["added 1"]


async def test_close_writes_what_could_wait(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that could wait is lost at the close."""
    monkeypatch.setattr("app.engines.embedded.writer.MOMENT", 3600.0)
    bench = Bench(store.with_suffix(".sqlite3"))
    bench.writer.start()
    bench.writer.put(Write(Add(1), bench.note, can_wait=True))
    await bench.close()
    assert bench.numbers() == [1]


@dataclass
class Where(Add):
    """Adds a number, and says in which thread."""

    def run(self, db: apsw.Connection) -> str | None:
        super().run(db)
        return threading.current_thread().name


async def test_large_changes_are_the_threads(bench: Bench) -> None:
    """A change that would hold up the event loop is made in the thread, a small one is not."""
    bench.writer.put(Write(Where(1), bench.note, size=LARGE - 1))
    await bench.answered(1)
    bench.writer.put(Write(Where(2), bench.note, size=LARGE))
    assert await bench.answered(2) == ["MainThread", "awaitd-journal"]


async def test_nothing_is_kept_of_what_was_written(bench: Bench) -> None:
    """What a change holds is let go when it has been answered, though no other one follows."""
    change = Add(1)
    gone = weakref.ref(change)
    bench.put(change)
    del change
    await bench.answered(1)
    async with asyncio.timeout(10):
        while gone() is not None:  # noqa: ASYNC110  the thread lets go of it a moment later
            await asyncio.sleep(0)


async def test_waits_for_what_is_arriving(bench: Bench, faults: Faults) -> None:
    """While each turn of the event loop brings further changes they go into one commit."""
    before = faults.commits
    for number in range(1, GATHERS):
        bench.put(Add(2 * number))
        bench.put(Add(2 * number + 1))
        await turns(1)
    assert len(await bench.answered(2 * GATHERS - 2)) == 2 * GATHERS - 2
    assert faults.commits == before + 1


async def test_waits_for_a_few_turns_only(bench: Bench, faults: Faults) -> None:
    """Changes that go on arriving keep no earlier one waiting for long."""
    before = faults.commits
    for number in range(1, GATHERS + 3):
        bench.put(Add(2 * number))
        bench.put(Add(2 * number + 1))
        await turns(1)
        if has_begun := bench.writer._writing_since is not None or faults.commits > before:
            break
    assert has_begun
    await bench.answered(2 * number)


async def test_one_alone_waits_for_nobody(bench: Bench) -> None:
    """A change that comes alone is made in the next turn of the event loop."""
    bench.put(Where(1))
    await turns(1)
    assert bench.writer._writing_since is not None


async def after_many(bench: Bench, count: int) -> None:
    """So many changes have been answered, all in one commit."""
    for number in range(1, count + 1):
        bench.put(Add(-number))
    await bench.answered(count)
    bench.answers.clear()


async def test_those_who_ask_again_are_waited_for(
    bench: Bench, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a commit of many the next one waits until most of as many changes are there."""
    monkeypatch.setattr("app.engines.embedded.writer.MOMENT", 3600.0)
    await after_many(bench, MANY)
    before, most = faults.commits, MANY * 3 // 4
    for number in range(1, most):
        bench.put(Add(number))
    await turns(2 * GATHERS)
    assert bench.answers == []
    bench.put(Add(most))
    assert len(await bench.answered(most)) == most
    assert faults.commits == before + 1


async def test_they_are_waited_for_a_moment_only(bench: Bench) -> None:
    """Where none of them asks again, one alone is answered soon, and the next one at once."""
    await after_many(bench, MANY)
    bench.put(Add(1))
    assert await bench.answered(1) == ["added 1"]
    bench.put(Add(2))
    await turns(1)
    assert bench.writer._writing_since is not None


async def test_few_are_not_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit of few is soon done with."""
    monkeypatch.setattr("app.engines.embedded.writer.MOMENT", 3600.0)
    await after_many(bench, MANY - 1)
    bench.put(Add(1))
    assert await bench.answered(1) == ["added 1"]


async def test_close_waits_for_nobody(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is queued then is all there will be."""
    monkeypatch.setattr("app.engines.embedded.writer.MOMENT", 3600.0)
    bench = Bench(store.with_suffix(".sqlite3"))
    bench.writer.start()
    await after_many(bench, MANY)
    bench.put(Add(1))
    await turns(3)
    await bench.close()
    assert bench.answers == ["added 1"]


async def test_what_is_waited_for(bench: Bench, faults: Faults) -> None:
    """Most of what was done and waited, of a full batch at most; nothing after a failure."""
    for done, waiting, expected in [
        (MANY, 0, MANY * 3 // 4),
        (MANY - 4, 4, MANY * 3 // 4),
        (MANY - 4, 3, 0),
        (MAX_BATCH, 5 * MAX_BATCH, MAX_BATCH * 3 // 4),
    ]:
        bench.writer._expected, bench.writer._waiting = done, waiting
        bench.writer._expect()
        assert bench.writer._expected == expected
    faults.fail(disk_full())
    bench.put(Add(1))
    assert await bench.answered(1) == [StoreUnavailable]
    bench.writer._expected = MANY
    bench.writer._expect()
    faults.mend()
    assert bench.writer._expected == 0
