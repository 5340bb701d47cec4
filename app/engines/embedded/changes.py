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
from app.jobs.runner import Outcome
from app.jobs.stored import CODES, STATUSES, error_text
from app.scheduler import Status, Step
from app.scheduler.states import COMPLETE, FAIL, RUNNING, after

_WIDTH: Final = COLUMNS.count(",") + 1 + 2
_INSERT: Final = (
    f"INSERT INTO jobs ({COLUMNS}, idempotency_key, fingerprint) VALUES ({', '.join('?' * _WIDTH)})"
)
_PENDING: Final = CODES[Status.PENDING]
_RUNNING: Final = CODES[Status.RUNNING]
_UNLESS_CANCELLED: Final = " AND cancel_requested_at IS NULL"


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
        return _status_since(db, self.job_id, 0)

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


class Ended(Struct, frozen=True):
    """How and when an attempt has ended."""

    job_id: UUID
    attempt: int
    at: Millis
    outcome: Outcome
    has_secrets: bool
    """Whether the journal may hold secrets of the job."""
    has_webhook: bool
    """Whether somebody may want to be told of its end."""


class Finish(Struct, frozen=True):
    """A running attempt has ended. If a cancel is on record the job ends cancelled."""

    ended: Ended
    version: int
    lines: str | None = None
    """The job's log lines, if there are any."""

    @property
    def job_id(self) -> UUID:
        """The job that it is about."""
        return self.ended.job_id

    def run(self, db: apsw.Connection) -> Status | None:
        """Gives the new status, or None when this attempt was not the running one any more."""
        step = self.ended.outcome.step
        status = None
        if self.lines is None and step in (COMPLETE, FAIL):
            status = self._end(db, step, _UNLESS_CANCELLED)
        return self._run_with_cancel(db, step) if status is None else status

    def happened(self, db: apsw.Connection) -> Status | None:
        """Gives the new status if it was written."""
        return _status_since(db, self.job_id, self.version)

    def _run_with_cancel(self, db: apsw.Connection, step: Step) -> Status | None:
        cancel = self._where(db)
        if cancel is None:
            return None
        if self.lines is not None:
            high, _ = halves(self.job_id)
            db.execute("INSERT OR REPLACE INTO logs VALUES (?, ?)", (high, self.lines))
        if cancel:
            step = Step.CANCEL
        return self._retry(db) if step is Step.RETRY else self._end(db, step)

    def _where(self, db: apsw.Connection) -> bool | None:
        """Whether a cancel is on record for this running attempt; None when it is not running."""
        row = db.execute(
            "SELECT cancel_requested_at IS NOT NULL FROM jobs "
            "WHERE high = ? AND low = ? AND status = ? AND attempt = ?",
            (*halves(self.job_id), _RUNNING, self.ended.attempt),
        ).fetchone()
        return None if row is None else bool(row[0])

    def _retry(self, db: apsw.Connection) -> Status:
        high, _ = halves(self.job_id)
        outcome = self.ended.outcome
        db.execute(
            "INSERT INTO attempts SELECT high, attempt, started_at, ?, ?, ? "
            "FROM jobs WHERE high = ?",
            (self.ended.at, CODES[Status.FAILED], error_text(outcome.error), high),
        )
        pending = after(Status.RUNNING, Step.RETRY)
        db.execute(
            "UPDATE jobs SET version = ?, status = ?, run_at = ?, started_at = NULL WHERE high = ?",
            (self.version, CODES[pending], outcome.retry_at, high),
        )
        return pending

    def _end(self, db: apsw.Connection, step: Step, unless: str = "") -> Status | None:
        """The last status of the job, or None when it does not run this attempt, or `unless`."""
        ended, outcome = self.ended, self.ended.outcome
        status = after(RUNNING, step)
        result, error = None, outcome.error
        if step is COMPLETE:
            result = outcome.returned
        elif step is Step.CANCEL:
            result = None if outcome.returned == b"null" else outcome.returned
            error = outcome.raised
        high, low = halves(ended.job_id)
        db.execute(
            "UPDATE jobs SET version = ?, status = ?, finished_at = ?, result = ?, error = ? "
            f"WHERE high = ? AND low = ? AND status = ? AND attempt = ?{unless}",
            (
                *(self.version, CODES[status], ended.at, result, error_text(error)),
                *(high, low, _RUNNING, ended.attempt),
            ),
        )
        if not db.changes():
            return None
        if ended.has_secrets:
            scrub(db, high)
        if ended.has_webhook:
            tell(db, high)
        return status


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
        return _status_since(db, self.job_id, self.version)


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


def _status_since(db: apsw.Connection, job_id: UUID, version: int) -> Status | None:
    """The job's status if it is there and its last change is no older than `version`."""
    return _status_in(
        db.execute(
            "SELECT status FROM jobs WHERE high = ? AND low = ? AND version >= ?",
            (*halves(job_id), version),
        )
    )
