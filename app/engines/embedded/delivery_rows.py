"""The deliveries in the journal: a row for each end of a job that its webhook is to tell.

It is written in the change that ends the job, and goes when the job does.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final
from uuid import UUID

import apsw

from app.engines.embedded.rows import SUMMARY, job_of
from app.jobs.deliveries import Due, Past, Tried
from app.jobs.ids import halves
from app.jobs.models import Millis
from app.jobs.record import record
from app.jobs.stored import DELIVERY
from app.jobs.texts import to_json

TELL: Final = (
    "INSERT INTO deliveries (high, receiver, attempts, next_at) "
    "SELECT high, webhook ->> 1, 0, finished_at FROM jobs "
    "WHERE high = ? AND status IN (SELECT value FROM json_each(webhook, '$[2]'))"
)
FIRST: Final = (
    "WITH RECURSIVE walk(receiver) AS (SELECT ? UNION ALL SELECT ("
    "SELECT d.receiver FROM deliveries d WHERE d.next_at IS NOT NULL "
    "AND d.receiver > walk.receiver ORDER BY d.receiver LIMIT 1) "
    "FROM walk WHERE walk.receiver IS NOT NULL LIMIT -1 OFFSET 1) "
    "SELECT (SELECT high FROM deliveries d WHERE d.receiver = walk.receiver AND d.next_at <= ? "
    "AND d.high NOT IN (SELECT value FROM json_each(?)) ORDER BY d.next_at LIMIT 1) AS first "
    "FROM walk WHERE walk.receiver NOT IN (SELECT value FROM json_each(?)) "
    "AND first IS NOT NULL LIMIT ?"
)
"""The first delivery that is due of each receiver after one. Walks from receiver to receiver, each
of them a look into an index, however many deliveries it has."""

NEXT: Final = "SELECT min(next_at) FROM deliveries WHERE next_at > ?"
_ATTEMPTS: Final = "SELECT attempts FROM deliveries WHERE high = ?"
OF_JOB: Final = f"SELECT {DELIVERY} FROM deliveries WHERE high = ?"


def tell(db: apsw.Connection, high: int) -> None:
    """Have the end of a job told, in the change that ends it, if its webhook is for such an end."""
    db.execute(TELL, (high,))


def due(
    db: apsw.Connection, now: Millis, limit: int, past: Past, held: Collection[UUID]
) -> Iterator[Due]:
    """The first delivery that is due of each receiver, in their order; none that is held."""
    keys = to_json([halves(job_id)[0] for job_id in held]).decode()
    values = (past.receiver, now, keys, to_json(list(past.busy)).decode(), limit)
    sql = f"SELECT {SUMMARY}, ({_ATTEMPTS}) FROM jobs WHERE high = ?"
    for (high,) in db.execute(FIRST, values).fetchall():
        rows: Any = db.execute(sql, (high, high)).fetchall()
        for *row, attempts in rows:
            job = job_of(tuple(row))
            assert job.webhook is not None
            yield Due(job, job.webhook, attempts)


def next_due(db: apsw.Connection, now: Millis) -> Millis | None:
    """When a delivery will be due that is not yet."""
    rows: Any = db.execute(NEXT, (now,)).fetchall()
    found: Millis | None = rows[0][0]
    return found


@record(frozen=True, slots=True)
class RecordAttempt:
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
