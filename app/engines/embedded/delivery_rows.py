"""The deliveries in the journal: a row for each end of a job that its webhook is to tell.

It is written in the change that ends the job, and goes when the job does.
"""

from collections.abc import Collection, Iterator
from contextlib import closing
from typing import Any, Final
from uuid import UUID

import apsw
from msgspec import Struct

from app.engines.embedded.rows import SUMMARY, job_of
from app.jobs.deliveries import Due, Past, Tried
from app.jobs.ids import halves
from app.jobs.models import Millis
from app.jobs.stored import DELIVERY
from app.jobs.texts import to_json

_TELL: Final = (
    "INSERT INTO deliveries (high, receiver, since, attempts, next_at) "
    "SELECT high, webhook ->> 1, finished_at, 0, finished_at FROM jobs "
    "WHERE high = ? AND status IN (SELECT value FROM json_each(webhook, '$[2]'))"
)
_FIRST: Final = (
    "WITH RECURSIVE walk(receiver) AS (SELECT ? UNION ALL SELECT ("
    "SELECT d.receiver FROM deliveries d WHERE d.next_at IS NOT NULL "
    "AND d.receiver > walk.receiver ORDER BY d.receiver LIMIT 1) "
    "FROM walk WHERE walk.receiver IS NOT NULL LIMIT ? OFFSET 1) "
    "SELECT receiver, "
    "(SELECT high FROM deliveries d WHERE d.receiver = walk.receiver AND d.next_at <= ? "
    "AND d.high NOT IN (SELECT value FROM json_each(?)) ORDER BY d.next_at LIMIT 1) FROM walk"
)
"""The first delivery that is due of each receiver after one. Walks from receiver to receiver, each
of them a look into an index, however many deliveries it has; behind the last it comes to null."""

_WALK: Final = 500
"""Receivers that are walked past at a time: it takes half a millisecond of the event loop."""

_NEXT: Final = "SELECT min(next_at) FROM deliveries WHERE next_at > ?"
_COUNTS: Final = (
    "SELECT deliveries_pending, (SELECT min(since) FROM deliveries WHERE next_at IS NOT NULL), "
    "deliveries_lost FROM marks"
)
_ATTEMPTS: Final = "SELECT attempts FROM deliveries WHERE high = ?"
OF_JOB: Final = f"SELECT {DELIVERY} FROM deliveries WHERE high = ?"


def tell(db: apsw.Connection, high: int) -> None:
    """Have the end of a job told, in the change that ends it, if its webhook is for such an end."""
    db.execute(_TELL, (high,))


def due(
    db: apsw.Connection, now: Millis, limit: int, past: Past, held: Collection[UUID]
) -> tuple[list[Due], str | None]:
    """The first delivery that is due of each of some receivers, in their order; none that is held.

    And up to which receiver they are, None if that was the last.
    """
    keys = to_json([halves(job_id)[0] for job_id in held]).decode()
    found: list[int] = []
    upto: str | None = past.receiver
    with closing(db.execute(_FIRST, (past.receiver, _WALK, now, keys))) as walk:
        while len(found) < limit and (row := walk.fetchone()) is not None:
            upto, first = row
            if first is not None and upto not in past.busy:
                found.append(first)
    return [due for high in found for due in _due(db, high)], upto


def _due(db: apsw.Connection, high: int) -> Iterator[Due]:
    sql = f"SELECT {SUMMARY}, ({_ATTEMPTS}) FROM jobs WHERE high = ?"
    rows: Any = db.execute(sql, (high, high)).fetchall()
    for *row, attempts in rows:
        job = job_of(tuple(row))
        assert job.webhook is not None
        yield Due(job, job.webhook, attempts)


def next_due(db: apsw.Connection, now: Millis) -> Millis | None:
    """When a delivery will be due that is not yet."""
    rows: Any = db.execute(_NEXT, (now,)).fetchall()
    found: Millis | None = rows[0][0]
    return found


def counts(db: apsw.Connection) -> tuple[int, Millis | None, int]:
    """How many are pending, since when the one is that has waited longest, how many were lost."""
    rows: Any = db.execute(_COUNTS).fetchall()
    [(pending, oldest, lost)] = rows
    return pending, oldest, lost


class RecordAttempt(Struct, frozen=True):
    """An attempt to deliver has been made, the one after so many `attempts`."""

    job_id: UUID
    attempts: int
    tried: Tried

    def run(self, db: apsw.Connection) -> bool:
        """Gives whether the delivery was still there, with no further attempt."""
        tried = self.tried
        db.execute(
            "UPDATE deliveries SET attempts = ?, next_at = ?, delivered_at = ?, last_status = ?, "
            "last_error = ? WHERE high = ? AND attempts = ?",
            (
                *(self.attempts + 1, tried.next_at, tried.delivered_at, tried.status, tried.error),
                *(halves(self.job_id)[0], self.attempts),
            ),
        )
        return bool(db.changes())

    def happened(self, db: apsw.Connection) -> bool | None:
        """Gives True if it was written."""
        row = db.execute(_ATTEMPTS, halves(self.job_id)[:1]).fetchone()
        return True if row is not None and row[0] > self.attempts else None


class Redeliver(Struct, frozen=True):
    """What was told, or is to be, is to be told at once."""

    job_id: UUID
    at: Millis

    def run(self, db: apsw.Connection) -> bool:
        """Gives whether there was anything to tell."""
        db.execute(
            "UPDATE deliveries SET since = iif(next_at IS NULL, ?, since), next_at = ?, "
            "delivered_at = NULL WHERE high = ?",
            (self.at, self.at, halves(self.job_id)[0]),
        )
        return bool(db.changes())

    def happened(self, db: apsw.Connection) -> bool | None:
        """Gives True if it was written."""
        sql = "SELECT 1 FROM deliveries WHERE high = ? AND next_at = ?"
        return True if db.execute(sql, (halves(self.job_id)[0], self.at)).fetchone() else None
