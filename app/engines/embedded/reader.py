"""What is asked of the journal, by key or by index: nothing here slows down as it grows.

The connection lives in the thread of the event loop, where a lookup by key costs less than handing
it to another thread would. Readers never wait for the writer.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import apsw

from app.engines.embedded.listing import keys_of
from app.engines.embedded.rows import CODES, COLUMNS, STATUSES, SUMMARY, Row, job_of, lines_of
from app.jobs.errors import JobExpired, JobNotFound, StoreUnavailable
from app.jobs.events import LogLine
from app.jobs.ids import from_halves, halves
from app.jobs.models import Job, JobQuery, Millis, Page
from app.scheduler import Status

_EARLIER: Final = (
    "SELECT number, started_at, finished_at, outcome, error FROM attempts "
    "WHERE high = ? ORDER BY number"
)


_PAGE: Final = 4_096
"""Bytes in a page of a journal, as SQLite makes it."""


class Reader:
    """Reads the journal, committed state only. Jobs expire `retention` after their end."""

    def __init__(self, db: apsw.Connection, retention: Millis) -> None:
        self._db = db
        self._retention = retention

    def get(self, job_id: UUID) -> Job | None:
        """The job as it was last committed. Raises `StoreUnavailable`, as all that read."""
        sql = f"SELECT {COLUMNS} FROM jobs WHERE high = ? AND low = ?"
        for row in self._rows(sql, halves(job_id)):
            return job_of(row, self._earlier(row), self._retention)
        return None

    def require(self, job_id: UUID) -> Job:
        """The same; raises `JobExpired` or `JobNotFound` when there is none."""
        job = self.get(job_id)
        if job is None:
            raise (JobExpired if self.is_removed(job_id) else JobNotFound)(job_id)
        return job

    def list(self, query: JobQuery) -> Page[Job]:
        """A page of jobs, newest first, without params, result and earlier attempts."""
        try:
            keys, last = keys_of(self._db, query)
        except apsw.Error as error:
            raise _unreadable(error) from error
        sql = f"SELECT {SUMMARY} FROM jobs WHERE high = ?"
        rows = [row for key in keys for row in self._rows(sql, (key,))]
        items = [job_of(row, retention=self._retention) for row in rows]
        return Page(items, None if last is None else from_halves(last, 0))

    def changed_since(self, version: int, limit: int) -> Sequence[Job]:
        """The jobs changed after this change number, in the order of their last change."""
        sql = " UNION ALL ".join(
            f"SELECT * FROM (SELECT {SUMMARY} FROM jobs "
            f"WHERE {which} AND version > ? ORDER BY version LIMIT ?)"
            for which in ("status < 2", "status > 1")
        )
        rows = self._rows(
            f"{sql} ORDER BY version LIMIT ?", (version, limit, version, limit, limit)
        )
        return [job_of(row, retention=self._retention) for row in rows]

    def lines(self, job_id: UUID) -> tuple[LogLine, ...]:
        """The log lines that were kept of a job when its last attempt ended."""
        rows = self._rows("SELECT lines FROM logs WHERE high = ?", halves(job_id)[:1])
        return lines_of(rows[0][0]) if rows else ()

    def counts(self) -> dict[tuple[str, Status], int]:
        """How many jobs there are by task and status; looks at each entry of an index."""
        sql = "SELECT task, status, count(*) FROM jobs GROUP BY task, status"
        return {(task, STATUSES[code]): count for task, code, count in self._rows(sql)}

    def durations(self, task: str, limit: int) -> Sequence[Millis]:
        """How long the last completed attempts of a task took."""
        sql = (
            "SELECT finished_at - started_at FROM jobs "
            "WHERE task = ? AND status = ? ORDER BY high DESC LIMIT ?"
        )
        bindings = (task, CODES[Status.COMPLETED], limit)
        return [duration for (duration,) in self._rows(sql, bindings)]

    def oldest_pending(self) -> Millis | None:
        """When the pending job that was submitted first was."""
        rows = self._rows("SELECT min(high) FROM jobs WHERE status = ?", (CODES[Status.PENDING],))
        high: int | None = rows[0][0]
        return None if high is None else high >> 16

    def last_removed_version(self) -> int:
        """The last change number of the jobs that have been removed."""
        return int(self._rows("SELECT last_version FROM marks")[0][0])

    def find_key(self, owner: str | None, key: str) -> tuple[UUID, bytes | None] | None:
        """The job of an idempotency key and the fingerprint it came with."""
        sql = (
            "SELECT high, low, fingerprint FROM jobs "
            "WHERE coalesce(owner, '') = ? AND idempotency_key = ?"
        )
        for high, low, fingerprint in self._rows(sql, (owner or "", key)):
            return from_halves(high, low), fingerprint
        return None

    def is_removed(self, job_id: UUID) -> bool:
        """Whether a job that is not there may have been removed by its age."""
        [(newest,)] = self._rows("SELECT newest_removed FROM marks")
        return job_id.version == 7 and job_id.int >> 64 <= newest

    def unfinished(self) -> Sequence[Job]:
        """The jobs that are pending, then those that are running, oldest first; no params."""
        sql = f"SELECT {SUMMARY} FROM jobs WHERE status < 2 ORDER BY status, high"
        return [job_of(row) for row in self._rows(sql)]

    def newest_id(self) -> int:
        """The upper half of the newest id that was ever in the journal."""
        sql = "SELECT max(newest_removed, ifnull((SELECT max(high) FROM jobs), 0)) FROM marks"
        return int(self._rows(sql)[0][0])

    def last_version(self) -> int:
        """The last change number that was ever in the journal."""
        sql = (
            "SELECT max(last_version, ifnull((SELECT max(version) FROM jobs WHERE status > 1), 0),"
            " ifnull((SELECT max(version) FROM jobs WHERE status < 2), 0)) FROM marks"
        )
        return int(self._rows(sql)[0][0])

    def size(self) -> int:
        """How many bytes the journal holds; what was removed does not count."""
        sql = "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count"
        [(pages,)] = self._rows(sql)
        return int(pages) * _PAGE

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _earlier(self, row: Row) -> Sequence[Row]:
        high, attempt, started_at = row[0], row[8], row[12]
        # The current attempt stands in the job itself, until it is to be tried again.
        has_earlier = attempt > 1 or (attempt == 1 and started_at is None)
        return self._rows(_EARLIER, (high,)) if has_earlier else ()

    def _rows(self, sql: str, bindings: tuple[Any, ...] = ()) -> Sequence[Row]:
        try:
            return self._db.execute(sql, bindings).fetchall()
        except apsw.Error as error:
            raise _unreadable(error) from error


def _unreadable(error: apsw.Error) -> StoreUnavailable:
    return StoreUnavailable(f"the journal cannot be read ({error})")
