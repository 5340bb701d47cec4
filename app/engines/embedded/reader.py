"""What is asked of the journal, by key or by index: nothing here slows down as it grows.

The connection lives in the thread of the event loop, where a lookup by key costs less than handing
it to another thread would. Readers never wait for the writer.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import apsw

from app.engines.embedded.rows import COLUMNS, SUMMARY, Row, job_of
from app.jobs.errors import StoreUnavailable
from app.jobs.ids import from_halves, halves
from app.jobs.models import Job, JobQuery, Millis, Page

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

    def list(self, query: JobQuery) -> Page[Job]:
        """A page of jobs, newest first, without params, result and earlier attempts."""
        before = (1 << 63) - 1 if query.before is None else halves(query.before)[0]
        sql = f"SELECT {SUMMARY} FROM jobs WHERE high < ? ORDER BY high DESC LIMIT ?"
        rows = self._rows(sql, (before, query.limit + 1))
        items = [job_of(row, retention=self._retention) for row in rows[: query.limit]]
        return Page(items, items[-1].id if len(rows) > query.limit else None)

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
            raise StoreUnavailable(f"the journal cannot be read ({error})") from error
