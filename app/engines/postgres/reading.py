"""Reads everybody's changes in order, as far as they are settled, for all who watch here."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from app.engines.postgres.tables import Tables
from app.engines.postgres.view import View
from app.jobs.errors import StoreUnavailable
from app.jobs.feed import Feed
from app.jobs.ledger import REMEMBERED
from app.jobs.registry import TaskRegistry

log = logging.getLogger(__name__)

AT_ONCE: Final = 500
EVERY: Final = 1.0
"""Seconds after which the tables are read without a notification."""

_LATE: Final = 2.5
"""Seconds without a look after which jobs may have come and gone: see `keep_at_least`."""

_SHORT: Final = 0.2
"""Seconds that who watches all jobs waits at the most for changes that are not settled."""

AGAIN: Final = 0.01
"""Seconds until changes are read again that are known and not settled."""

STUCK: Final = 0.5
"""Seconds that changes may stay unsettled, which any long transaction in the server brings about;
then they count before they are, though nobody who watches is told of them in that order."""


class Reading:
    """Keeps the view up to date, and wakes those who watch."""

    def __init__(self, tables: Tables, view: View, feed: Feed, registry: TaskRegistry) -> None:
        self._tables = tables
        self.view = view
        self._lock = asyncio.Lock()
        self._newest = 0
        self._read_at = 0.0
        self._stuck_since: float | None = None
        self._seen: str | None = None
        """The snapshot of the last look at what is not settled, while nothing settles."""
        self._gaps = self._filled = self._removals = self._subtracted = 0
        self._cycle: asyncio.Future[None] | None = None
        self._feed = feed
        self._registry = registry
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what there is, and begin."""
        names = [task.name for task in self._registry]
        self.view.ledger.observer.expect(names)
        self.view.ledger.load({}, await self._tables.durations(names, REMEMBERED))
        await self._load()
        self._task = asyncio.create_task(self._run(), name="awaitd-reading")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def wake(self) -> None:
        """There is something to read."""
        self._wake.set()

    def removed(self) -> None:
        """Jobs have been removed."""
        self._removals += 1
        self._wake.set()

    def missed(self) -> None:
        """For a while nothing was heard: jobs may have changed and be gone, unread."""
        self._gaps += 1
        self._wake.set()

    async def reach(self, version: int) -> None:
        """Return when all changes up to this one are read, or after the time they may take."""
        if self.view.position <= version:
            self._wake.set()
            await self._until(lambda: self.view.position > version, EVERY)

    async def catch_up(self) -> None:
        """Return when what is known to be committed is read, or after the time it may take."""
        await self._until(lambda: not self._wake.is_set() and not self._is_behind(), _SHORT)

    async def _until(self, is_so: Callable[[], bool], timeout: float) -> None:
        """Look each time that something was read."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not is_so():
                    if self._cycle is None:
                        self._cycle = asyncio.get_running_loop().create_future()
                    await asyncio.shield(self._cycle)

    def _is_behind(self) -> bool:
        return self.view.ahead or self.view.position <= self._newest

    async def _load(self) -> None:
        async with self._lock:
            gaps = self._gaps
            self.view.load(await self._tables.snapshot())
            self._filled = gaps
            self._read_at = asyncio.get_running_loop().time()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._look()
            except StoreUnavailable:
                await asyncio.sleep(EVERY)
            except Exception:  # whatever it is, the next round tries again
                log.exception("the changes were not read")

    def _pause(self) -> float:
        """The longer nothing settles, the less often it is worth to look."""
        if self._stuck_since is None:
            return AGAIN if self._is_behind() else EVERY
        stuck = asyncio.get_running_loop().time() - self._stuck_since
        return min(max(AGAIN, stuck / 4), EVERY)

    async def _look(self) -> None:
        """Read what has changed, and everything anew if not all of that may be there any more."""
        if asyncio.get_running_loop().time() - self._read_at > _LATE:
            self.missed()
        while await self._read():
            pass
        await self._look_ahead()
        if self._gaps != self._filled:
            await self._load()
            self._feed.wake_all()
        if self._removals != self._subtracted:
            removals = self._removals
            async with self._lock:
                self.view.removed(await self._tables.removed())
            self._subtracted = removals

    async def _look_ahead(self) -> None:
        """Count what is committed though it is not settled, if nothing has settled for long."""
        since = self._stuck_since
        if since is None or asyncio.get_running_loop().time() - since < STUCK:
            return
        async with self._lock:
            self._seen, jobs = await self._tables.unseen(self._seen)
            for job in jobs:
                self.view.know(job)

    async def _read(self) -> bool:
        """Read some changes; True if there may be more."""
        async with self._lock:
            before = self.view.position
            changes = await self._tables.changed_since(self.view.position, AT_ONCE)
            jobs, self._newest = changes.jobs, changes.newest
            for job in jobs:
                self.view.read(job)
            self._read_at = asyncio.get_running_loop().time()
            more = len(jobs) == AT_ONCE
            self.view.settle(jobs[-1].version + 1 if more else changes.settled)
            if self.view.position > before or not self._is_behind():
                self._stuck_since = self._seen = None
            elif self._stuck_since is None:
                self._stuck_since = self._read_at
        if self._cycle is not None:
            self._cycle.set_result(None)
            self._cycle = None
        for watcher in self._feed.watchers.get(None, ()) if jobs else ():
            watcher.wake()
        return more
