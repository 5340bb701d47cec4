"""What the distributed engine has to deliver: whichever node comes first takes it, for a while."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from app.engines.postgres.rows import SUMMARY, Row, job_of
from app.engines.postgres.tables import Tables
from app.jobs.deliveries import Attempts, DeliveryFigures, Due, Past, Tried
from app.jobs.errors import StoreUnavailable
from app.jobs.models import Millis

HELD: Final[Millis] = 60_000
"""How long a delivery is its taker's: longer than any attempt takes. Then others try it."""

_RESTS: Final = 100
"""How many times as long as it took to count them figures serve: a million takes 0.2 s."""

_SERVES: Final = 60.0
"""Seconds that they serve at most: a question may have waited for a lock, or for a connection."""

_TAKE: Final = (
    f"SELECT {SUMMARY}, taken.attempts FROM take_deliveries(%s, %s, %s, %s, %s) AS taken "
    "JOIN jobs j USING (id) ORDER BY taken.receiver"
)
_NEXT: Final = "SELECT min(due_at) FROM deliveries WHERE due_at > %s"
_RECORD: Final = (
    "UPDATE deliveries SET attempts = attempts + 1, due_at = %s, next_at = %s, delivered_at = %s, "
    "last_status = %s, last_error = %s WHERE id = %s AND attempts = %s RETURNING id"
)
_REDELIVER: Final = (
    "WITH found AS (UPDATE deliveries SET delivered_at = NULL, next_at = %s, "
    "since = CASE WHEN due_at IS NULL THEN %s ELSE since END, "
    "due_at = CASE WHEN due_at IS DISTINCT FROM next_at THEN due_at ELSE %s END "
    "WHERE id = %s RETURNING id) "
    "SELECT pg_notify('awaitd_deliveries', '') FROM found"
)
"""Leaves it with whoever holds it."""

_LET_GO: Final = (
    "UPDATE deliveries SET due_at = next_at WHERE id = ANY(%s) AND due_at IS NOT NULL RETURNING id"
)


class TableDeliveries:
    """The deliveries in the tables. Two nodes do not hold the same one."""

    def __init__(self, tables: Tables, now: Callable[[], Millis]) -> None:
        self._tables = tables
        self._now = now
        self._held: set[UUID] = set()
        self._counts: Row = ()
        self._counted_until = float("-inf")
        self.attempts = Attempts()
        """Those of this process."""
        self.news = asyncio.Event()
        """Set when there may be more to take than there was."""

    async def take(self, limit: int, past: Past) -> tuple[Sequence[Due], float | None]:
        """Those that are due, and the seconds until a further one will be."""
        now = self._now()
        [(next_at,)] = await self._tables.rows(_NEXT, (now,))
        values = (now, now + HELD, limit, list(past.busy), past.receiver)
        rows = await self._tables.rows(_TAKE, values)
        found = [_due(row) for row in rows]
        self._held.update(due.job.id for due in found)
        return found, None if next_at is None else (next_at - now) / 1000

    async def figures(self) -> DeliveryFigures:
        """How many are pending and what was lost, counted now and then."""
        loop = asyncio.get_running_loop()
        if (began := loop.time()) >= self._counted_until:
            [self._counts] = await self._tables.rows("SELECT * FROM delivery_figures()")
            now = loop.time()
            self._counted_until = now + min(_RESTS * (now - began), _SERVES)
        pending, oldest, lost = self._counts
        return DeliveryFigures(pending=pending, oldest=oldest, lost=lost, attempts=self.attempts)

    async def any_left(self) -> bool:
        """Whether anything is to be told."""
        [(next_at,)] = await self._tables.rows(_NEXT, (0,))
        return next_at is not None

    async def record(self, due: Due, tried: Tried) -> None:
        """Write what an attempt came to, unless another node has recorded one meanwhile."""
        times = (tried.next_at, tried.next_at, tried.delivered_at)
        values = (*times, tried.status, tried.error, due.job.id, due.attempts)
        await self._tables.rows(_RECORD, values)
        self._held.discard(due.job.id)

    async def redeliver(self, job_id: UUID) -> bool:
        """Have the end of a job told once more; gives False when there is nothing to tell."""
        now = self._now()
        return bool(await self._tables.rows(_REDELIVER, (now, now, now, job_id)))

    async def let_go(self) -> None:
        """Leave what was taken and not recorded to other nodes, at once."""
        held, self._held = self._held, set()
        if held:
            with contextlib.suppress(StoreUnavailable):  # then others wait until its time is up
                await self._tables.rows(_LET_GO, (list(held),))


def _due(row: Row) -> Due:
    *columns, attempts = row
    job = job_of(columns, 0)
    assert job.webhook is not None
    return Due(job, job.webhook, attempts)
