"""Stores that fail when a test says so, by SQLite's own hooks: no code of ours is replaced."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakSet

import apsw

WRITER = "awaitd-journal"
"""The name of the thread that writes."""

START = "UPDATE jobs SET version = ?, status = ?, attempt"
CANCEL = "SELECT version, status, cancel_requested_at"
"""How the statements begin that start an attempt, and that look at a job to be cancelled."""


class Faults:
    """What goes wrong with the connections that are opened while `installed`."""

    def __init__(self) -> None:
        self._writers: WeakSet[apsw.Connection] = WeakSet()
        """The connections that have begun a transaction."""
        self.statements: list[str] = []
        """What the writer has executed, on the event loop or in its thread."""
        self.questions: list[str] = []
        """What the other connections have."""
        self.commits = 0
        """How many transactions it has committed."""
        self.before: Callable[[str], None] = lambda sql: None
        """Called before each statement of the writer; what it raises fails it."""
        self.before_reading: Callable[[str], None] = lambda sql: None
        """The same for the other connections."""
        self.after_commit = apsw.SQLITE_OK
        """What COMMIT answers when it has been done."""
        self.reading: apsw.Error | None = None
        """What fails the statements of the other connections."""
        self.reading_at = ""
        """What those statements contain."""

    def fail(self, error: apsw.Error, at: str = "") -> None:
        """Fail the writer's statements that begin so, until `mend`."""

        def before(sql: str) -> None:
            if sql.startswith(at):
                raise type(error)(*error.args)  # a new one, for each holds its traceback's frames

        self.before = before

    def mend(self) -> None:
        """The store is sound again."""
        self.before = self.before_reading = lambda sql: None
        self.after_commit = apsw.SQLITE_OK
        self.reading, self.reading_at = None, ""

    def _connected(self, db: apsw.Connection) -> None:
        db.exec_trace = self._execute
        db.set_wal_hook(self._committed)

    def _execute(self, origin: apsw.Cursor | apsw.Connection, sql: str, bindings: object) -> bool:
        db = origin if isinstance(origin, apsw.Connection) else origin.connection
        if sql.startswith("BEGIN"):
            self._writers.add(db)
        if threading.current_thread().name == WRITER or db in self._writers:
            self.statements.append(sql)
            self.before(sql)
        else:
            self.questions.append(sql)
            self.before_reading(sql)
            if self.reading is not None and self.reading_at in sql:
                raise self.reading
        return True

    def _committed(self, db: apsw.Connection, name: str, pages: int) -> int:
        if threading.current_thread().name == WRITER:
            self.commits += 1
            return self.after_commit
        return apsw.SQLITE_OK


@contextmanager
def installed(faults: Faults) -> Iterator[Faults]:
    """Let the faults apply to every connection that is opened meanwhile."""
    apsw.connection_hooks.append(faults._connected)
    try:
        yield faults
    finally:
        faults.mend()
        apsw.connection_hooks.remove(faults._connected)


def disk_full() -> apsw.Error:
    """What SQLite says when the disk is full."""
    return apsw.FullError("database or disk is full")


def hang(faults: Faults, at: str = "") -> tuple[asyncio.Event, threading.Event]:
    """Let the commit hang of a transaction in which a statement begins so.

    The first event says that it does, the second lets it go on.
    """
    hanging, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    met = False

    def before(sql: str) -> None:
        nonlocal met
        met = met or sql.startswith(at)
        if met and sql == "COMMIT" and not go_on.is_set():
            loop.call_soon_threadsafe(hanging.set)
            assert go_on.wait(10)

    faults.before = before
    return hanging, go_on


async def turns(count: int = 20) -> None:
    """Let everything that is ready run, without time going on."""
    for _ in range(count):
        await asyncio.sleep(0)
