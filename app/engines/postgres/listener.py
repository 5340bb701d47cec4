"""Hears of changes. A notification only wakes: what it is about is read from the tables."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Final

import psycopg

from app.engines.postgres.connections import Async, connect
from app.engines.postgres.migrations import first_line

log = logging.getLogger(__name__)

_AGAIN: Final = 0.25
_ALIVE: Final = 10.0
"""Seconds after which the connection is tried."""
_ANSWERS: Final = 5.0
"""Seconds within which it has to answer then; psycopg takes as many more to give up."""


class Listener:
    """One connection that listens; each channel has who is told.

    `away` begins a gap, `back` follows it.
    """

    def __init__(
        self,
        url: str,
        channels: Mapping[str, Callable[[str], None]],
        back: Callable[[], None],
        away: Callable[[], None],
    ) -> None:
        self._url = url
        self._channels = channels
        self._back = back
        self._away = away
        self._db: Async | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.error: str | None = None
        """Why nothing is heard; None while all is well."""

    async def open(self) -> None:
        """Connect and listen."""
        await self._connect()
        self._task = asyncio.create_task(self._run(), name="awaitd-listener")

    async def close(self) -> None:
        """Disconnect."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        await self._disconnect()

    async def _run(self) -> None:
        while not self._closing:  # a cancel may get lost in what psycopg awaits
            try:
                if self._db is None:
                    await self._connect()
                    log.warning("the database can be heard again")
                    self._back()
                await self._listen(self._db)
            except (psycopg.Error, OSError, TimeoutError) as error:
                if self.error is None:
                    log.warning("the database cannot be heard: %s", first_line(error))
                    self._away()
                self.error = f"the database cannot be reached ({type(error).__name__})"
                await self._disconnect()
                await asyncio.sleep(_AGAIN)

    async def _listen(self, db: Async | None) -> None:
        assert db is not None
        async for notification in db.notifies(timeout=_ALIVE):
            if self._closing:
                return
            try:
                self._channels[notification.channel](notification.payload)
            except Exception:  # whatever it is, the next one is to be heard
                log.exception("a notification was not understood")
        async with asyncio.timeout(_ANSWERS):
            await db.execute("SELECT 1")

    async def _connect(self) -> None:
        self._db = await connect(self._url)
        try:
            for channel in self._channels:
                await self._db.execute(f"LISTEN {channel}".encode())
        except BaseException:  # it may have been lost at once, or be wanted no more
            await self._disconnect()
            raise
        self.error = None

    async def _disconnect(self) -> None:
        if self._db is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await self._db.close()
        self._db = None
