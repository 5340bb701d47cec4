"""Jobs by their idempotency keys: one read for all who wait to ask for the same one."""

import asyncio
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import UUID

from app.engines.postgres.listing import PROGRESS
from app.engines.postgres.rows import COLUMNS
from app.engines.postgres.tables import Tables
from app.jobs.errors import KeyReused
from app.jobs.models import Job, NewJob

Key: TypeAlias = tuple[str, str]
"""An owner, empty for none, and what that owner calls a submission."""

_OF_KEY: Final = (
    f"SELECT j.fingerprint, {COLUMNS}, r.progress FROM jobs j {PROGRESS} "
    "WHERE coalesce(j.owner, '') = %s AND j.idempotency_key = %s"
)


def key_of(new: NewJob) -> Key | None:
    """The key that a submission comes with, if it has one."""
    return None if new.idempotency_key is None else (new.owner or "", new.idempotency_key)


def require_same(new: NewJob, found: UUID, fingerprint: bytes | None) -> None:
    """Raise `KeyReused` unless a submission is the one that the job of its key came with."""
    if new.fingerprint != (None if fingerprint is None else bytes(fingerprint)):
        raise KeyReused(found)


class Keys:
    """Finds the jobs of keys."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._asking: dict[Key, asyncio.Task[tuple[Job, bytes | None] | None]] = {}
        """The reads that have not begun, which who comes now shares."""
        self._reads: set[asyncio.Task[Any]] = set()
        """Those that have not ended."""

    async def find(self, key: Key) -> tuple[Job, bytes | None] | None:
        """The job of a key and the fingerprint it came with, as committed when it was asked for.

        A burst of equal keys takes few reads: who comes before one has begun shares it.
        """
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(key), name="awaitd-key")
            self._reads.add(asking)
            asking.add_done_callback(self._reads.discard)
        return await asyncio.shield(asking)

    async def close(self) -> None:
        """End the reads that nobody waits for any more."""
        for read in self._reads:
            read.cancel()
        if self._reads:
            await asyncio.wait(self._reads)

    async def _ask(self, key: Key) -> tuple[Job, bytes | None] | None:
        close = partial(self._close, key, asyncio.current_task())
        try:
            for fingerprint, *row in await self._tables.rows(_OF_KEY, key, close):
                return await self._tables.whole(row), fingerprint
            return None
        finally:
            close()

    def _close(self, key: Key, asking: asyncio.Task[Any] | None) -> None:
        """Nobody shares this read any more; one that has not begun yet is left alone."""
        if self._asking.get(key) is asking:
            self._asking.pop(key, None)
