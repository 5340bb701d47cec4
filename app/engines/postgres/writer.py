"""Group commit: what has queued up while one transaction commits goes into the next, in order.

One connection and one transaction at a time for each process, so that jobs are dispatched in the
order of their submission, and the busier the process, the cheaper each change. Every change can be
made again, but for claims: a second time it finds what the first one did.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
from msgspec import Struct

from app.engines.postgres.connections import Async, connect
from app.engines.postgres.migrations import first_line
from app.engines.postgres.outage import unavailable
from app.engines.postgres.rows import Row
from app.jobs.errors import StoreUnavailable
from app.jobs.observer import Commits

log = logging.getLogger(__name__)

AT_ONCE: Final = 200
"""Changes in one transaction."""

PATIENCE: Final = 10.0
"""Seconds that a caller waits for a change before it is told that the store is unavailable."""

SOON: Final = 1.0
"""The same while the database is known to be away."""

_STUCK: Final = 30.0
"""Seconds after which a transaction that has not ended is given up with its connection."""

_RETRY_FIRST: Final = 0.01
_RETRY_MOST: Final = 0.5

_KEPT_FOR: Final = 5.0
"""Seconds after which a change is tried again that is wrong, but must not be lost."""

_WRONG: Final = frozenset(("0A", "21", "22", "23", "42", "54", "P0", "XX"))
"""Classes of SQLSTATE for which the statement is to blame, not the state of the database."""

Rows: TypeAlias = list[Row]

T = TypeVar("T")


class Change(Struct, frozen=True):
    """One statement. `then` is called on the event loop with what it gave, once that is durable."""

    text: str
    values: Sequence[Any]
    then: Callable[[Rows], None]
    refused: Callable[[StoreUnavailable], None] | None = None
    """Called when it cannot be made. None: it is kept, and tried again until it is made."""
    again: bool = True
    """Whether a second time finds what the first one did. If not, a failure refuses it."""


class Writer:
    """Commits changes. `more` gives what a transaction is to end with, if anything."""

    def __init__(self, url: str, more: Callable[[], Change | None]) -> None:
        self._url = url
        self._more = more
        self._queue: list[Change] = []
        self._kept: list[Change] = []
        self._wake = asyncio.Event()
        self._db: Async | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._pause = _RETRY_FIRST
        self._waiting: set[asyncio.Future[Any]] = set()
        self.is_away: Callable[[], bool] = lambda: self.error is not None
        """Whether it is known that the database does not answer."""
        self.commits = Commits()
        self.error: str | None = None
        """Why the last transaction failed; None while all is well."""

    async def open(self) -> None:
        """Connect and begin."""
        self._db = await connect(self._url)
        self._task = asyncio.create_task(self._run(), name="awaitd-writer")

    async def close(self) -> None:
        """Make what is queued, if the database is there, and disconnect."""
        self._closing = True
        self._try_kept()
        if self._task is not None:
            await asyncio.wait((self._task,))
            self._task.result()
        if self._db is not None:
            await self._db.close()

    def queue(self, change: Change) -> None:
        """Make a change in the next transaction."""
        self._queue.append(change)
        self._wake.set()

    def wake(self) -> None:
        """Ask for more."""
        self._wake.set()

    async def make(self, text: str, values: Sequence[Any]) -> Rows:
        """Make a change and give what it gave; the change goes on when its caller does not wait.

        Raises `StoreUnavailable`: it did not happen, or its fate is not known.
        """
        done: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self.queue(Change(text, values, lambda rows: _resolve(done, rows), partial(refuse, done)))
        return await self.answer(done)

    async def answer(self, done: asyncio.Future[T]) -> T:
        """What a queued change gives, waited for no longer than is of use.

        Raises `StoreUnavailable`: then it may be made all the same.
        """
        patience = SOON if self.is_away() else PATIENCE
        timer = asyncio.get_running_loop().call_later(patience, give_up, done)
        self._waiting.add(done)
        try:
            return await done
        finally:
            timer.cancel()
            self._waiting.discard(done)

    def hurry(self) -> None:
        """The database is away: whoever waits is not to wait for long."""
        for done in self._waiting:
            asyncio.get_running_loop().call_later(SOON, give_up, done)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := self._next():
                await self._make(batch)
                if self.error is not None and self._closing:
                    self._refuse(self._queue)
                    return
                if self.error is not None:
                    await asyncio.sleep(self._pause)
            if self._closing:
                return

    def _next(self) -> list[Change]:
        batch, self._queue = self._queue[:AT_ONCE], self._queue[AT_ONCE:]
        if (more := self._more()) is not None:
            batch.append(more)
        return batch

    async def _make(self, batch: list[Change]) -> None:
        """All at once, or each by itself if something in it is wrong: that stops no other."""
        parts, clashes = [batch], 0
        while parts:
            error = await self._try(parts[0])
            if error is None:
                del parts[0]
                clashes = 0
            elif _is_clash(error):  # others were quicker
                await asyncio.sleep(min(_RETRY_FIRST * clashes, _RETRY_MOST))
                clashes += 1
            elif not _is_wrong(error):
                await self._failed([change for part in parts for change in part], error)
                return
            elif len(parts[0]) > 1:
                parts = [[change] for change in batch]
            else:
                [change] = parts.pop(0)
                self._cannot_be_made(change, error)

    async def _try(self, batch: Sequence[Change]) -> Exception | None:
        begin = time.monotonic()
        try:
            async with asyncio.timeout(_STUCK):
                given = await self._commit(batch)
        except (psycopg.Error, OSError) as error:
            return error
        self.commits.add(time.monotonic() - begin, len(batch))
        self._made(batch, given)
        return None

    async def _commit(self, batch: Sequence[Change]) -> list[Rows]:
        db = await self._connected()
        async with db.pipeline(), db.transaction():
            cursors = [await db.execute(c.text.encode(), c.values) for c in batch]
        return [list(await cursor.fetchall()) for cursor in cursors]

    async def _connected(self) -> Async:
        if self._db is None or self._db.broken or self._db.closed:
            self._db = await connect(self._url)
        return self._db

    def _made(self, batch: Sequence[Change], given: Sequence[Rows]) -> None:
        if self.error is not None:
            log.warning("the database can be written again")
        self.error, self._pause = None, _RETRY_FIRST
        for change, rows in zip(batch, given, strict=True):
            _call(change.then, rows)

    def _cannot_be_made(self, change: Change, error: Exception) -> None:
        log.error("a change cannot be made: %s", first_line(error))
        if change.refused is not None:
            change.refused(unavailable(error))
        elif not self._closing:
            self._kept.append(change)
            if len(self._kept) == 1:
                asyncio.get_running_loop().call_later(_KEPT_FOR, self._try_kept)

    def _try_kept(self) -> None:
        self._queue[:0], self._kept = self._kept, []
        self._wake.set()

    async def _failed(self, batch: list[Change], error: BaseException) -> None:
        """Try again, in order: a change that was made after all says what it did."""
        await self._disconnect()
        if self.error is None:
            log.warning("the database cannot be written: %s", first_line(error))
            self.hurry()
        self.error = str(unavailable(error))
        self._pause = min(self._pause * 2, _RETRY_MOST)
        if self._closing:
            self._refuse(batch)
            return
        waiting, self._queue = batch + self._queue, [c for c in batch + self._queue if c.again]
        self._refuse([change for change in waiting if not change.again])
        self._wake.set()

    async def _disconnect(self) -> None:
        if self._db is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await self._db.close()

    def _refuse(self, batch: Sequence[Change]) -> None:
        for change in batch:
            if change.refused is not None:
                change.refused(StoreUnavailable(self.error or "the database cannot be written"))


def _is_clash(error: Exception) -> bool:
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] == "40"


def _is_wrong(error: Exception) -> bool:
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return error.sqlstate[:2] in _WRONG
    return isinstance(error, psycopg.DataError | psycopg.ProgrammingError)


def _call(then: Callable[[Rows], None], rows: Rows) -> None:
    try:
        then(rows)
    except Exception:  # whatever it is, the others are to be told
        log.exception("what follows from a change failed")


def _resolve(done: asyncio.Future[Rows], rows: Rows) -> None:
    if not done.done():
        done.set_result(rows)


def refuse(done: asyncio.Future[Any], error: StoreUnavailable) -> None:
    """Answer with an error, which is no loss if nobody waits for it any more."""
    if not done.done():
        done.set_exception(error)
        done.exception()


def give_up(done: asyncio.Future[Any]) -> None:
    """Tell who waits that the database does not answer."""
    text = "the database does not answer: whether this will be written down is not known"
    refuse(done, StoreUnavailable(text))
