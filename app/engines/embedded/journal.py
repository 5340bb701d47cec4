"""The journal: the SQLite file of the embedded engine.

One connection writes, which the event loop and the writer's thread have in turn; one reads, in the
event loop alone.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import apsw

from app.engines.embedded.answers import Answers
from app.engines.embedded.backup import Backups
from app.engines.embedded.batch import Write
from app.engines.embedded.changes import (
    Cancelled,
    Fail,
    Insert,
    RequestCancel,
    Start,
)
from app.engines.embedded.damage import Damage, NoJournal, how_to_restore, is_damage, look_at
from app.engines.embedded.ends import Finish
from app.engines.embedded.expiry import RemoveExpired
from app.engines.embedded.kept_secrets import empty_log
from app.engines.embedded.lock import FolderLock
from app.engines.embedded.migrations import NewerSchema, migrate
from app.engines.embedded.reader import Reader
from app.engines.embedded.rows import row_of
from app.engines.embedded.writer import LARGE, JournalWriter, MakeWriter, Writer
from app.jobs.errors import StartUpError, StoreUnavailable
from app.jobs.figures import Kind
from app.jobs.models import Job, JobError, Millis
from app.jobs.observer import Commits
from app.scheduler import Status

FILE: Final = "journal.sqlite3"

_OUT_OF_REACH: Final = 1 << 32
"""More changes than were ever made between a backup and its return."""


class BadJournal(StartUpError):
    """Raised when the journal cannot be opened; the message says what to do."""


class Journal:
    """The file in `folder`. `retention` is in milliseconds after a job's end.

    Changes are queued at once and in order; `then` is called on the event loop when they are
    durable. A `refused` change could not be made; one that takes no `refused` is kept until it is.
    """

    def __init__(self, folder: Path, retention: Millis, make_writer: MakeWriter = Writer) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._damage = Damage(self._path)
        self.backups = Backups(self._path, self._damage)
        """Makes copies of it while it is open."""
        self._make_writer = make_writer
        self._retention = retention
        self._lock = FolderLock(folder)
        self._reader: Reader | None = None
        self._answers: Answers | None = None
        self._inode: int | None = None
        self._writer: JournalWriter | None = None
        self._version = 0
        self._forgotten = 0
        """How many scrubs SQLite's log has nothing of."""
        self.newest_id = 0
        """The upper half of the newest id that was in the journal when it was opened."""

    def open(self, lock_wait: float, look: Callable[[Reader], None]) -> Sequence[Job]:
        """Lock the folder, bring the schema up to date, `look`, and start the writer; blocks.

        Gives the jobs that have not finished. Raises `StoreLocked` or `BadJournal`.
        """
        loop = asyncio.get_running_loop()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire(lock_wait)
            self._prepare()
            self._inode = self._path.stat().st_ino
            self._reader = Reader(self._connect(read_only=True), self._retention)
            self._version = self._reader.last_version()
            self.newest_id = self._reader.newest_id()
            unfinished = self._reader.unfinished()
            look(self._reader)
        except (OSError, apsw.Error, NewerSchema, NoJournal, StoreUnavailable) as error:
            self._release()
            raise self._bad(error) from error
        self._writer = self._make_writer(self._connect, partial(_post, loop))
        self._writer.start()
        self._answers = Answers()
        self._reader.damage = self._damage
        return unfinished

    async def close(self) -> None:
        """Write what is queued, close the file and let the lock go."""
        if self._writer is not None:
            ended = asyncio.Event()
            writer, self._writer = self._writer, None
            writer.close(ended.set)
            await ended.wait()  # whoever was to be answered has been by then
        if self._answers is not None:
            self._answers.close()
        self.backups.close()
        self._release()

    @property
    def reader(self) -> Reader:
        """What it can be asked; raises `StoreUnavailable` when it is not open."""
        if self._reader is None:
            raise StoreUnavailable("the journal is closed")
        return self._reader

    @property
    def answers(self) -> Answers:
        """Those who wait for it; raises `StoreUnavailable` when it was never open."""
        if self._answers is None:
            raise StoreUnavailable("the journal is closed")
        return self._answers

    @property
    def commits(self) -> Commits:
        """What has been committed since it was opened."""
        return Commits() if self._writer is None else self._writer.commits

    @property
    def error(self) -> str | None:
        """Why nothing can be written; None while all is well."""
        if self._writer is None:
            return "the journal is closed"
        error = self._writer.error
        self._damage.see_if_any(error)
        return self._damage.found or error

    def insert(
        self,
        job: Job,
        key: str | None,
        fingerprint: bytes | None,
        then: Callable[[Status], None],
        refused: Callable[[StoreUnavailable], None],
    ) -> None:
        """Queue a new job."""
        change = Insert(job.id, row_of(job, key, fingerprint), job.labels, job.secrets)
        size = len(job.params) + len(job.secrets or b"")
        self._put(Write(change, then, refused, size=size))

    def start(
        self, job_id: UUID, attempt: int, at: Millis, then: Callable[[Job | None], None]
    ) -> None:
        """Queue the start of an attempt; `then` gets the job, or None when it was not pending."""
        self._put(Write(Start(job_id, self.next_version(), attempt, at), then))

    def finish(
        self, finish: Finish, then: Callable[[Status | None], None], *, can_wait: bool = False
    ) -> None:
        """Queue the outcome of an attempt; `then` gets None when it was not the running one.

        One for which nobody waits `can_wait` a moment, to share the commit of what comes next.
        """
        size = len(finish.ended.outcome.returned or b"")
        self._put(Write(finish, then, can_wait=can_wait, size=size))

    def fail(
        self, job_id: UUID, at: Millis, error: JobError, then: Callable[[Status | None], None]
    ) -> None:
        """Queue the failure of a pending job; `then` gets None when it was not pending."""
        self._put(Write(Fail(job_id, self.next_version(), at, error), then))

    def request_cancel(
        self,
        job_id: UUID,
        at: Millis,
        if_version: int | None,
        then: Callable[[Cancelled | None], None],
        refused: Callable[[StoreUnavailable], None],
    ) -> None:
        """Queue a cancel; `then` gets None when there is no such job."""
        change = RequestCancel(job_id, self.next_version(), at, if_version)
        self._put(Write(change, then, refused))

    def deliver(self, write: Write[Any]) -> None:
        """Queue a change of a delivery."""
        self._put(write)

    def remove_expired(
        self,
        now: Millis,
        limit: int,
        then: Callable[[Mapping[Kind, int]], None],
        refused: Callable[[StoreUnavailable], None],
    ) -> None:
        """Queue the removal of up to `limit` jobs past their retention; `then` gets how many."""
        change = RemoveExpired(now - self._retention, now, limit)
        self._put(Write(change, then, refused, size=LARGE))  # whatever they have to be read from

    def hurry(self) -> None:
        """Write soon what is queued and could wait: somebody has begun to wait for it."""
        if self._writer is not None:
            self._writer.hurry()

    async def forget_scrubbed(self) -> None:
        """Empty SQLite's log, if jobs have ended of which it may still have the secrets.

        What is in the way, such as a backup, puts it off until the next call.
        Raises `StoreUnavailable`.
        """
        scrubs = self.reader.scrubs()
        if scrubs == self._forgotten:
            return
        # Not in the threads that jobs share, where it might wait for hours.
        with ThreadPoolExecutor(1, "awaitd-log") as thread:  # leaving it waits for the thread
            emptied = thread.submit(empty_log, self._connect)
            if await asyncio.wrap_future(emptied):
                self._forgotten = scrubs

    def next_version(self) -> int:
        """The next change number; numbers are given in the order in which changes are made."""
        self._version += 1
        return self._version

    def _put(self, write: Write[Any]) -> None:
        if self._writer is None:
            raise StoreUnavailable("the journal is closed")
        if (error := self._writer.error) is not None:
            self._damage.see_if_any(error)
        if write.refused is not None and self._damage.found is not None:
            write.refused(StoreUnavailable(self._damage.found))
        else:
            self._writer.put(write)

    def _prepare(self) -> None:
        self.backups.tidy()
        restored = look_at(self._path)
        # Its close, as the last one, writes the log's frames into the file and syncs them: what an
        # earlier process saw in the log may be of a sync that failed.
        with contextlib.closing(self._connect(wal=not restored)) as db:
            migrate(db)
            if restored:
                _leave_old_numbers(db)

    def _connect(self, *, read_only: bool = False, wal: bool = True) -> apsw.Connection:
        if self._inode not in (None, self._path.stat().st_ino):
            raise apsw.CantOpenError("its file is not the one that was opened at the start")
        db = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
        db.set_busy_timeout(5_000)
        if wal:
            db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")
        db.pragma("journal_size_limit", 64 << 20)
        db.pragma("temp_store", "memory")  # nothing is to depend on another disk's room
        db.pragma("cache_spill", False)  # nothing is written before the commit, in its own thread
        db.pragma("query_only", read_only)
        return db

    def _release(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._lock.release()

    def _bad(self, error: Exception) -> BadJournal:
        path, cause = self._path, error.__cause__ or error
        if isinstance(cause, NewerSchema):
            return BadJournal(
                f"{path} was written by a newer awaitd ({error}): "
                "install that one, or set AWAITD_DATA_DIR to another directory"
            )
        if is_damage(cause):
            return BadJournal(f"{path} is damaged, or no journal ({error}): {how_to_restore(path)}")
        if isinstance(cause, OSError):
            return BadJournal(f"cannot use the data directory {self._folder}: {error}")
        return BadJournal(f"{path} cannot be opened ({error})")


def _leave_old_numbers(db: apsw.Connection) -> None:
    """After a backup came back: change numbers go on far above those that clients have seen.

    So none means two changes, and a stream that is resumed from one of before begins anew.
    """
    newest = Reader(db, 0).last_version()
    db.execute("UPDATE marks SET last_version = ?", (newest + _OUT_OF_REACH,))


def _post(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
        loop.call_soon_threadsafe(callback)
