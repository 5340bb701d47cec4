"""Group commit: what has queued up while one transaction syncs goes into the next, in order.

A commit costs the same whatever it holds, so the busier the service, the cheaper each write.
"""

import contextlib
import ctypes
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import apsw

from app.engines.embedded.batch import Answer, Write, make
from app.jobs.errors import StoreUnavailable
from app.jobs.observer import Commits

Call: TypeAlias = Callable[[], None]

Connect: TypeAlias = Callable[[], apsw.Connection]
"""Opens the journal for writing."""

Post: TypeAlias = Callable[[Call], None]
"""Has a callable run on the event loop, after those that were posted before."""

log = logging.getLogger(__name__)

RETRY_FIRST: Final = 0.01
RETRY_EVERY: Final = 0.2
"""Seconds until the first and between later tries to write while the store fails."""

QUIET: Final = 10.0
"""Seconds in which a store that fails now and then, as a nearly full one does, is logged once."""

_PROOF: Final = (
    "UPDATE marks SET last_version = last_version + 1;"
    "UPDATE marks SET last_version = last_version - 1"
)
"""Changes nothing, but is written: SQLite leaves out only what each statement leaves as it is."""

_PATIENCE: Final = 5_000
"""Milliseconds to wait for another connection that writes, such as one that empties the log."""


class GroupCommit:
    """Commits batch after batch: `begin` makes the changes, `commit` makes them durable.

    Once `opens_at_once` has said so, `begin` takes microseconds for a small change and waits for
    no other writer: it is for the event loop's thread, where no other thread gets into its way.
    `commit` waits for the disk; `write` does all of it, and waits for whatever there is.
    Whoever drives it makes one call at a time.
    """

    def __init__(self, connect: Connect, post: Post) -> None:
        self._connect = connect
        self._post = post
        self._kept: list[Write[Any]] = []
        self._uncertain: list[Write[Any]] = []
        self._begun: list[Write[Any]] = []
        self._answers: list[Answer] = []
        self._db: apsw.Connection | None = None
        self._pause = RETRY_FIRST
        self._told = False
        self._quiet_until = 0.0
        self.commits = Commits()
        self.error: str | None = None
        """Why the last commit failed; None while all is well."""

    @property
    def pause(self) -> float | None:
        """Seconds after which to write again, be it nothing; None while all is well."""
        return None if self.error is None else self._pause

    @property
    def gives_up(self) -> bool:
        """Whether the store has gone on failing, so that nobody who closes should wait for it."""
        return self.error is not None and self._pause >= RETRY_EVERY

    def write(self, queued: Sequence[Write[Any]]) -> None:
        """Commit what was kept and what has queued up, and answer those who wait for it."""
        if self.begin(queued):
            self.commit()

    def opens_at_once(self) -> bool:
        """Open a transaction for `begin`, if the store is sound and no other connection writes."""
        if self._db is None or self.error is not None:
            return False
        try:
            _open(self._db, wait=0)
        except Exception:  # `write` meets it again, and deals with it
            return False
        return True

    def begin(self, queued: Sequence[Write[Any]]) -> bool:
        """Make the changes that were kept and those that have queued up, for `commit`.

        False when the store fails: those who can be refused have been told.
        """
        batch = self._kept + list(queued)
        self._kept = []
        try:
            db = self._db = self._db or self._connect()
            batch = self._resolve(db) + batch
            self._answers = self._run_all(db, batch)
        # Whatever it is, the next try begins afresh: without us nothing would be written.
        except Exception as error:
            self._failed(error)
            self._kept = self._refuse(batch)
            return False
        self._begun = batch
        return True

    def commit(self) -> None:
        """Make durable what has begun, and answer those who wait for it."""
        assert self._db is not None, "nothing has begun"
        begin = time.monotonic()
        try:
            self._db.execute("COMMIT")
        except Exception as error:
            self._failed(error)
            self._uncertain = self._begun
            self._let_go()
            return
        self.commits.add(time.monotonic() - begin, len(self._begun))
        if self.error is not None:
            self.error = None
            self._pause = RETRY_FIRST
            self._well()
        self._answer(self._answers)
        self._let_go()

    def close(self) -> None:
        """Refuse what may be refused, say how much else is lost, and close the journal."""
        lost = self._kept + self._refuse(self._uncertain)
        if lost:
            log.error("%d changes could not be written before the end", len(lost))
        self._disconnect()

    def _let_go(self) -> None:
        """Keep nothing of what was written: the next batch may be long in coming."""
        self._begun, self._answers = [], []

    def _run_all(self, db: apsw.Connection, batch: Sequence[Write[Any]]) -> list[Answer]:
        if not db.in_transaction:
            _open(db, wait=_PATIENCE)
        answers = make(db, batch)
        if self.error is not None:  # an empty transaction would not touch the disk
            db.execute(_PROOF)
        return answers

    def _resolve(self, db: apsw.Connection) -> list[Write[Any]]:
        """Read back what became of a batch whose commit failed; gives what is to be done again."""
        fates = [(write, write.change.happened(db)) for write in self._uncertain]
        self._uncertain = []
        self._answer([(write.then, fate) for write, fate in fates if fate is not None])
        return self._refuse([write for write, fate in fates if fate is None])

    def _failed(self, error: Exception) -> None:
        """Note the error, and roll back by closing."""
        name = type(error).__name__
        text = f"{name}: {error}"
        if self.error is not None:
            self._pause = min(2 * self._pause, RETRY_EVERY)
        self.error = name if isinstance(error, OSError) else text  # whose text has a path
        if not self._told and time.monotonic() >= self._quiet_until:
            log.error("the journal cannot be written: %s", text)
            self._told, self._quiet_until = True, time.monotonic() + QUIET
        self._disconnect()

    def _well(self) -> None:
        if self._told:
            log.warning("the journal can be written again")
            self._told = False

    def _disconnect(self) -> None:
        """Close the connection, which rolls back; a disk that fails at that too changes nothing."""
        if self._db is not None:
            with contextlib.suppress(apsw.Error):
                self._db.close(True)
            self._db = None

    def _refuse(self, batch: Sequence[Write[Any]]) -> list[Write[Any]]:
        """Answer those that may be refused; gives the others."""
        text = f"the journal cannot be written ({self.error})"
        self._answer([(w.refused, StoreUnavailable(text)) for w in batch if w.refused is not None])
        return [write for write in batch if write.refused is None]

    def _answer(self, answers: Sequence[Answer]) -> None:
        if answers:
            self._post(partial(_call_all, answers))


def _open(db: apsw.Connection, wait: int) -> None:
    """Begin a transaction; waits so many milliseconds for another connection that writes."""
    _require_in_place(db)
    db.set_busy_timeout(wait)
    db.execute("BEGIN IMMEDIATE")


def _require_in_place(db: apsw.Connection) -> None:
    """A file that was moved or deleted still takes writes, but the next start would not find it."""
    moved = ctypes.c_int()
    db.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(moved))
    if moved.value:
        raise apsw.CantOpenError("its file has been moved or deleted")


def _call_all(answers: Sequence[Answer]) -> None:
    for call, value in answers:
        try:
            call(value)
        except Exception:  # one job's defect must not keep the others from their answers
            log.exception("a committed change could not be followed up")
