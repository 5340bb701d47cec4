"""What commits the changes of the journal: made on the event loop, synced by a thread.

A thread that made the changes itself would contend with the event loop for Python's one lock at
every statement, which costs more than the statements do. So the thread waits for the disk, and does
the whole of what would hold up the event loop: large changes, those of a store that fails, and
those for which another connection has to be waited for.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from app.engines.embedded.batch import Write
from app.engines.embedded.commit import Call, Connect, GroupCommit, Post
from app.jobs.observer import Commits

MAX_BATCH: Final = 250
"""Changes in one transaction: small ones hold up the event loop for a few milliseconds only."""

LARGE: Final = 64 << 10
"""Bytes from which on a batch is left to the thread as a whole."""

MOMENT: Final = 0.001
"""Seconds that a change which can wait does wait for another one, while the store is sound; and
those that a commit then waits at most for further changes."""

GATHERS: Final = 8
"""Turns of the event loop for which a commit waits at most, while each brings further changes."""

MANY: Final = 16
"""Changes from which on a commit waits for further ones; the commits of fewer are soon done."""

SLOW: Final = 5.0
"""Seconds after which a write that has not returned is taken for a failure of the store."""


class JournalWriter(Protocol):
    """What commits the changes that are put, in their order, while the event loop goes on."""

    @property
    def commits(self) -> Commits:
        """What has been committed."""

    @property
    def error(self) -> str | None:
        """Why the last commit failed; None while all is well."""

    def start(self) -> None:
        """Begin to write."""

    def put(self, write: Write[Any]) -> None:
        """Queue a change; never blocks."""

    def hurry(self) -> None:
        """Write what is queued soon: somebody has begun to wait for it."""

    def close(self, ended: Call) -> None:
        """Write what is queued, as far as the store lets it, then end; `ended` is posted last."""


MakeWriter: TypeAlias = Callable[[Connect, Post], JournalWriter]


class Writer:
    """Commits turn after turn. Every method is called on the event loop."""

    def __init__(self, connect: Connect, post: Post) -> None:
        self._commit = GroupCommit(connect, self._answer)
        self._post = post
        self._loop = asyncio.get_running_loop()
        self._queued: deque[Write[Any]] = deque()
        self._is_due = False
        """Whether a turn will come: one is scheduled, or the thread is at work."""
        self._gathered = self._put_off = 0
        """How much was queued when the turn that is due was last looked at; how often it was."""
        self._expected = 0
        """How many changes the next commit waits for: those who were answered ask for more."""
        self._waiting = 0
        """How many were queued when those of the last commit were answered."""
        self._closing = False
        self._writing_since: float | None = None
        self._hurries = False
        """Whether somebody waits for what is queued."""
        self._timer: asyncio.TimerHandle | None = None
        """Until a turn that nobody waits for, or for which no more is waited."""
        self._ended: Call = lambda: None
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="awaitd-journal", daemon=True)

    @property
    def commits(self) -> Commits:
        """What has been committed."""
        return self._commit.commits

    @property
    def error(self) -> str | None:
        """Why the last commit failed, or has not returned; None while all is well."""
        since = self._writing_since
        if since is not None and (seconds := time.monotonic() - since) >= SLOW:
            return f"a write of the journal has not returned for {seconds:.0f} s"
        return self._commit.error

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, write: Write[Any]) -> None:
        """Queue a change; never blocks."""
        self._queued.append(write)
        self._hurries = self._hurries or not write.can_wait
        if not self._is_due:
            self._plan()
        elif self._timer is not None and len(self._queued) >= self._expected:
            self._come_soon()

    def hurry(self) -> None:
        """Write what is queued soon: somebody has begun to wait for it."""
        if self._queued and not self._hurries:
            self._hurries = True
            if not self._is_due:
                self._plan()

    def close(self, ended: Call) -> None:
        """Write what is queued, as far as the store lets it, then end; `ended` is posted last."""
        self._ended = ended
        self._closing = True
        if not self._is_due or self._timer is not None:
            self._come_soon()

    def _come_soon(self) -> None:
        """Take a turn once what is ready now has run, so that its changes share one commit."""
        self._is_due = True
        self._gathered, self._put_off = len(self._queued), 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        if self._is_gathering():
            self._loop.call_soon(self._turn)
            return
        if 0 < len(self._queued) < self._expected and not self._closing:
            self._timer = self._loop.call_later(MOMENT, self._wait_no_more)
            return
        self._is_due = False
        batch = [self._queued.popleft() for _ in range(min(len(self._queued), MAX_BATCH))]
        self._hurries = bool(self._queued)
        if batch or (self._commit.error is not None and not self._gives_up()):
            self._is_due = True
            self._writing_since = time.monotonic()
            self._expected, self._waiting = len(batch), 0
            self._write(batch)
        elif self._closing:
            self._calls.put(None)

    def _wait_no_more(self) -> None:
        self._expected = 0
        self._come_soon()

    def _is_gathering(self) -> bool:
        """Whether more has come since the last look, so that the commit is shared by still more.

        A busy event loop has only read some of what has arrived by then.
        """
        queued, before = len(self._queued), self._gathered
        self._gathered, self._put_off = queued, self._put_off + 1
        return before < queued < MAX_BATCH and self._put_off <= GATHERS

    def _write(self, batch: list[Write[Any]]) -> None:
        if sum([write.size for write in batch]) >= LARGE or not self._commit.opens_at_once():
            self._calls.put(partial(self._commit.write, batch))
        elif self._commit.begin(batch):
            self._calls.put(self._commit.commit)
        else:
            self._written()

    def _answer(self, answer: Call) -> None:
        """Have those answered whose changes are done; in the thread, if it did them."""
        self._waiting = len(self._queued)
        self._post(answer)

    def _written(self) -> None:
        """The thread has done its part, or there was none: go on, after a pause if that failed."""
        self._writing_since = None
        self._is_due = False
        self._expect()
        self._plan()

    def _expect(self) -> None:
        """Wait for most of as many changes as there were, done and waiting, if for any.

        Clients who wait for an answer ask again soon after it, each a little later than the one
        before: without waiting they would fall into groups, of which each waits for the others'
        commits. Most, and not all, so that the slowest keep nobody; where nobody asks again a
        commit waits in vain, for a moment that makes it larger.
        """
        there_were = min(self._expected + self._waiting, MAX_BATCH)
        is_worth_it = there_were >= MANY and self._commit.error is None
        self._expected = there_were * 3 // 4 if is_worth_it else 0

    def _plan(self) -> None:
        """See to it that what is queued is written in time, and a failing store tried again."""
        pause = self._commit.pause
        if self._hurries or (self._closing and (pause is None or self._gives_up())):
            self._come_soon()
        elif self._timer is None and (self._queued or pause is not None):
            self._timer = self._loop.call_later(pause or MOMENT, self._come_soon)

    def _gives_up(self) -> bool:
        return self._closing and self._commit.gives_up

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # with all that it holds: the next one may be long in coming
            self._post(self._written)
        self._commit.close()
        self._post(self._ended)
