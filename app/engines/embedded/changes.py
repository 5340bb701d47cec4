"""Every change of the journal, each one conditional on what the row says when it is made."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import apsw
from msgspec import Struct

from app.engines.embedded.delivery_rows import tell
from app.engines.embedded.kept_secrets import keep, scrub, with_secrets
from app.engines.embedded.rows import COLUMNS, Row, job_of
from app.jobs.ids import halves
from app.jobs.models import Job, JobError, Json, Millis
from app.jobs.stored import CODES, STATUSES, error_text
from app.scheduler import Status, Step
from app.scheduler.states import after

_WIDTH: Final = COLUMNS.count(",") + 1 + 2
_INSERT: Final = (
    f"INSERT INTO jobs ({COLUMNS}, idempotency_key, fingerprint) VALUES ({', '.join('?' * _WIDTH)})"
)
_PENDING: Final = CODES[Status.PENDING]
_RUNNING: Final = CODES[Status.RUNNING]


class Insert(Struct, frozen=True):
    """A new job, pending or already running, with its labels and its key."""

    job_id: UUID
    row: Row
    labels: Mapping[str, str]
    secrets: Json | None = None

    def run(self, db: apsw.Connection) -> Status:
        """Gives the job's status."""
        db.execute(_INSERT, self.row)
        return self._completed(db)

    @staticmethod
    def run_many(db: apsw.Connection, inserts: Sequence["Insert"]) -> list[Status]:
        """Gives the status of each: together they take three quarters of the time."""
        db.executemany(_INSERT, [insert.row for insert in inserts])
        return [insert._completed(db) for insert in inserts]

    def happened(self, db: apsw.Connection) -> Status | None:
        """Gives the job's status if it is there."""
        return status_since(db, self.job_id, 0)

    def _completed(self, db: apsw.Connection) -> Status:
        for name, value in self.labels.items():
            db.execute("INSERT INTO labels VALUES (?, ?, ?)", (name, value, self.row[0]))
        if self.secrets is not None:
            keep(db, self.row[0], self.secrets)
        return STATUSES[self.row[3]]


class Start(Struct, frozen=True):
    """A pending job starts its next attempt, of the given number."""

    job_id: UUID
    version: int
    attempt: int
    at: Millis

    def run(self, db: apsw.Connection) -> Job | None:
        """Gives the job as it starts, or None when it was not pending any more."""
        high, low = halves(self.job_id)
        started = after(Status.PENDING, Step.START)
        changed = db.execute(
            "UPDATE jobs SET version = ?, status = ?, attempt = ?, started_at = ? "
            f"WHERE high = ? AND low = ? AND status = ? AND attempt = ? RETURNING {COLUMNS}",
            (
                *(self.version, CODES[started], self.attempt, self.at),
                *(high, low, _PENDING, self.attempt - 1),
            ),
        )
        return _job_in(db, changed)

    def happened(self, db: apsw.Connection) -> Job | None:
        """Gives the job if it started."""
        sql = f"SELECT {COLUMNS} FROM jobs WHERE high = ? AND low = ? AND version >= ?"
        return _job_in(db, db.execute(sql, (*halves(self.job_id), self.version)))


class Fail(Struct, frozen=True):
    """A pending job that can never start."""

    job_id: UUID
    version: int
    at: Millis
    error: JobError

    def run(self, db: apsw.Connection) -> Status | None:
        """Gives failed, or None when the job was not pending any more."""
        failed = after(Status.PENDING, Step.FAIL)
        row = db.execute(
            "UPDATE jobs SET version = ?, status = ?, finished_at = ?, error = ? "
            "WHERE high = ? AND low = ? AND status = ? RETURNING webhook IS NOT NULL",
            (
                *(self.version, CODES[failed], self.at, error_text(self.error)),
                *(*halves(self.job_id), _PENDING),
            ),
        ).fetchone()
        if row is None:
            return None
        _left_pending(db, self.job_id, has_webhook=row[0])
        return failed

    def happened(self, db: apsw.Connection) -> Status | None:
        """Gives failed if it was written."""
        return status_since(db, self.job_id, self.version)


class Cancelled(Struct, frozen=True):
    """What a request to cancel met: the status after it, and whether `if_version` was right."""

    status: Status
    matched: bool = True


class RequestCancel(Struct, frozen=True):
    """A cancel on record: a pending job ends at once, a running one is to stop."""

    job_id: UUID
    version: int
    at: Millis
    if_version: int | None

    def run(self, db: apsw.Connection) -> Cancelled | None:
        """Gives what the request met, or None when there is no such job."""
        row = db.execute(
            "SELECT version, status, cancel_requested_at, webhook IS NOT NULL FROM jobs "
            "WHERE high = ? AND low = ?",
            halves(self.job_id),
        ).fetchone()
        if row is None:
            return None
        version, code, requested_at, has_webhook = row
        status = STATUSES[code]
        if self.if_version is not None and self.if_version != version:
            return Cancelled(status, matched=False)
        if status.finished or requested_at is not None:
            return Cancelled(status)
        return self._record(db, status, has_webhook)

    def happened(self, db: apsw.Connection) -> Cancelled | None:
        """Gives the status that the request left, if it was written."""
        row = db.execute(  # what changed after its cancel was running then
            "SELECT iif(version = ?, status, ?) FROM jobs "
            "WHERE high = ? AND low = ? AND version >= ? AND cancel_requested_at = ?",
            (self.version, _RUNNING, *halves(self.job_id), self.version, self.at),
        ).fetchone()
        return None if row is None else Cancelled(STATUSES[row[0]])

    def _record(self, db: apsw.Connection, status: Status, has_webhook: bool) -> Cancelled:
        was_pending = status is Status.PENDING
        if was_pending:
            status = after(status, Step.CANCEL)
        high, _ = halves(self.job_id)
        db.execute(
            "UPDATE jobs SET version = ?, status = ?, cancel_requested_at = ?, finished_at = ? "
            "WHERE high = ?",
            (self.version, CODES[status], self.at, self.at if was_pending else None, high),
        )
        if was_pending:
            _left_pending(db, self.job_id, has_webhook=has_webhook)
        return Cancelled(status)


def _left_pending(db: apsw.Connection, job_id: UUID, *, has_webhook: bool) -> None:
    """What belongs to the end of a job that never started, or not again."""
    high, _ = halves(job_id)
    scrub(db, high)
    if has_webhook:
        tell(db, high)


def _status_in(changed: apsw.Cursor) -> Status | None:
    row = changed.fetchone()
    return None if row is None else STATUSES[row[0]]


def _job_in(db: apsw.Connection, found: apsw.Cursor) -> Job | None:
    """The job of a row with its secrets, without its earlier attempts."""
    row = found.fetchone()
    return None if row is None else with_secrets(db, job_of(row))


def status_since(db: apsw.Connection, job_id: UUID, version: int) -> Status | None:
    """The job's status if it is there and its last change is no older than `version`."""
    return _status_in(
        db.execute(
            "SELECT status FROM jobs WHERE high = ? AND low = ? AND version >= ?",
            (*halves(job_id), version),
        )
    )
