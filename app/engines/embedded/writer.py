"""Group commit: one thread owns the connection that writes.

What has queued up while one transaction syncs goes into the next, in the order of submission.
A commit costs the same whatever it holds, so the busier the service, the cheaper each write.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import apsw

from app.jobs.errors import StoreUnavailable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Call: TypeAlias = Callable[[], None]

log = logging.getLogger(__name__)

RETRY_FIRST: Final = 0.01
RETRY_EVERY: Final = 0.2
"""Seconds until the first and between later tries to write while the store fails."""

MAX_BATCH: Final = 2_000

_STORE_ERRORS: Final = (
    apsw.FullError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.NoMemError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.AbortError,
    apsw.InterruptError,
    apsw.PermissionsError,
    apsw.ProtocolError,
)


class Change(Protocol[T_co]):
    """One change of the journal; its methods run in the writer's thread."""

    def run(self, db: apsw.Connection) -> T_co:
        """Make the change, within a savepoint of its own, and say what came of it."""

    def happened(self, db: apsw.Connection) -> T_co | None:
        """After a commit of unknown fate: what `run` gave if the change was made, else None."""


@dataclass(frozen=True, slots=True)
class Write(Generic[T]):
    """A change that is queued. Callbacks run on the event loop, in the order of submission."""

    change: Change[T]
    then: Callable[[T], None]
    """Called with what the change gave, once it is durable."""
    refused: Callable[[StoreUnavailable], None] | None = None
    """Called when it cannot be made. None: it is kept, and tried again until it is made.

    One that even a sound store could not make, by a defect of ours, gives `then` None instead.
    """


class Writer:
    """The thread. `post` runs a callable on the event loop; `connect` opens the journal."""

    def __init__(
        self, connect: Callable[[], apsw.Connection], post: Callable[[Call], None]
    ) -> None:
        self._connect = connect
        self._post = post
        self._queue: queue.SimpleQueue[Write[Any] | None] = queue.SimpleQueue()
        self._kept: list[Write[Any]] = []
        self._uncertain: list[Write[Any]] = []
        self._closing = False
        self._ended: Call = lambda: None
        self._thread = threading.Thread(target=self._work, name="awaitd-journal", daemon=True)
        self._db: apsw.Connection | None = None
        self._pause = RETRY_FIRST
        self.error: str | None = None
        """Why the last commit failed; None while all is well."""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, write: Write[Any]) -> None:
        """Queue a change; never blocks."""
        self._queue.put(write)

    def close(self, ended: Call) -> None:
        """Write what is queued, as far as the store lets it, then end; `ended` is posted last."""
        self._ended = ended
        self._queue.put(None)

    def _work(self) -> None:
        while not self._done():
            batch = self._next_batch()
            if batch or self.error is not None:
                self._write(batch)
        lost = self._kept + self._refuse(self._uncertain)
        if lost:
            log.error("%d changes could not be written before the end", len(lost))
        if self._db is not None:
            self._db.close(True)
        self._post(self._ended)

    def _done(self) -> bool:
        """When closing: all is written, or the store goes on failing."""
        return self._closing and (self.error is None or self._pause >= RETRY_EVERY)

    def _next_batch(self) -> list[Write[Any]]:
        """What is kept and what has queued up; waits for the first, while failing not for long."""
        kept, self._kept = self._kept, []
        queued: list[Write[Any]] = []
        try:
            self._take(queued, self._queue.get(timeout=self._pause if self.error else None))
            while len(queued) < MAX_BATCH and not self._closing:
                self._take(queued, self._queue.get_nowait())
        except queue.Empty:
            pass
        return kept + queued

    def _take(self, queued: list[Write[Any]], write: Write[Any] | None) -> None:
        if write is None:
            self._closing = True
        else:
            queued.append(write)

    def _write(self, batch: list[Write[Any]]) -> None:
        """Make the changes in one transaction, and answer those who wait for them."""
        try:
            db = self._db = self._db or self._connect()
            batch = self._resolve(db) + batch
            answers = self._run_all(db, batch)
        # Whatever it is, the next try begins afresh: without this thread nothing would be written.
        except Exception as error:
            self._failed(error)
            self._kept = self._refuse(batch)
            return
        try:
            db.execute("COMMIT")
        except Exception as error:
            self._failed(error)
            self._uncertain = batch
            return
        if self.error is not None:
            log.warning("the journal can be written again")
            self.error = None
            self._pause = RETRY_FIRST
        self._answer(answers)

    def _run_all(self, db: apsw.Connection, batch: Sequence[Write[Any]]) -> list[Call]:
        db.execute("BEGIN IMMEDIATE")
        if self.error is not None:  # an empty transaction would not touch the disk
            db.execute("UPDATE marks SET last_version = last_version")
        return [_run(db, write) for write in batch]

    def _resolve(self, db: apsw.Connection) -> list[Write[Any]]:
        """Read back what became of a batch whose commit failed; gives what is to be done again."""
        fates = [(write, write.change.happened(db)) for write in self._uncertain]
        self._uncertain = []
        self._answer([partial(write.then, fate) for write, fate in fates if fate is not None])
        return self._refuse([write for write, fate in fates if fate is None])

    def _failed(self, error: Exception) -> None:
        """Note the error, and roll back by closing."""
        text = f"{type(error).__name__}: {error}"
        if self.error is None:
            log.error("the journal cannot be written: %s", text)
        else:
            self._pause = min(2 * self._pause, RETRY_EVERY)
        self.error = text
        if self._db is not None:
            self._db.close(True)
            self._db = None

    def _refuse(self, batch: Sequence[Write[Any]]) -> list[Write[Any]]:
        """Answer those that may be refused; gives the others."""
        text = f"the journal cannot be written ({self.error})"
        self._answer(
            [partial(w.refused, StoreUnavailable(text)) for w in batch if w.refused is not None]
        )
        return [write for write in batch if write.refused is None]

    def _answer(self, answers: Sequence[Call]) -> None:
        if answers:
            self._post(partial(_call_all, answers))


def _run(db: apsw.Connection, write: Write[Any]) -> Call:
    """Make one change; gives the answer that is due once it is durable."""
    db.execute("SAVEPOINT one")
    try:
        answer: Call = partial(write.then, write.change.run(db))
    except _STORE_ERRORS:
        raise
    except Exception as error:  # a defect of ours: the other changes of the batch go on
        log.exception("a change could not be made: %s", type(write.change).__name__)
        db.execute("ROLLBACK TO one")
        answer = _without_effect(write, error)
    db.execute("RELEASE one")
    return answer


def _without_effect(write: Write[Any], error: Exception) -> Call:
    if write.refused is None:
        return partial(write.then, None)
    return partial(write.refused, StoreUnavailable(f"the change could not be made ({error})"))


def _call_all(answers: Sequence[Call]) -> None:
    for answer in answers:
        try:
            answer()
        except Exception:  # one job's defect must not keep the others from their answers
            log.exception("a committed change could not be followed up")
