"""What is asked of the journal, by key or by index: nothing here slows down as it grows.

The connection lives in the thread of the event loop, where a lookup by key costs less than handing
it to another thread would. Readers never wait for the writer.
"""

import contextlib
from collections.abc import Callable, Collection, Sequence
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from uuid import UUID

import apsw

from app.engines.embedded.damage import NONSENSE, Damage, is_damage
from app.engines.embedded.delivery_rows import OF_JOB, counts, due, next_due
from app.engines.embedded.kept_secrets import with_secrets
from app.engines.embedded.listing import keys_of, tasks_of
from app.engines.embedded.recent import Recent
from app.engines.embedded.rows import (
    COLUMNS,
    SUMMARY,
    Row,
    job_of,
)
from app.jobs.deliveries import Due, Past
from app.jobs.errors import JobExpired, JobNotFound, StoreUnavailable
from app.jobs.events import LogLine
from app.jobs.figures import Kind
from app.jobs.ids import from_halves, halves
from app.jobs.models import Job, JobQuery, Millis, Page
from app.jobs.stored import CODES, STATUSES, lines_of, with_deliveries
from app.jobs.texts import to_json
from app.scheduler import Status

_JOB: Final = f"SELECT {COLUMNS} FROM jobs WHERE high = ? AND low = ?"
_LISTED: Final = (
    f"SELECT {SUMMARY} FROM json_each(?) AS listed CROSS JOIN jobs ON high = listed.value "
    "ORDER BY listed.key"
)
_EARLIER: Final = (
    "SELECT number, started_at, finished_at, outcome, error FROM attempts "
    "WHERE high = ? ORDER BY number"
)


_PAGE: Final = 4_096
"""Bytes in a page of a journal, as SQLite makes it."""

P = ParamSpec("P")
T = TypeVar("T")


def _telling(
    ask: Callable[Concatenate["Reader", P], T],
) -> Callable[Concatenate["Reader", P], T]:
    """Raise `StoreUnavailable` for what SQLite does not answer, or answers with nonsense."""

    @wraps(ask)
    def asking(reader: "Reader", /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return ask(reader, *args, **kwargs)
        except (apsw.Error, *NONSENSE) as error:
            raise reader._unreadable(error) from error

    return asking


def _require_text(value: bytes) -> None:
    """Raise ValueError for what cannot be JSON: SQLite does not notice damage within a value."""
    if b"\0" in value:
        raise ValueError("a value is no text")
    value.decode()


class Reader:
    """Reads the journal, committed state only. Jobs expire `retention` after their end."""

    def __init__(self, db: apsw.Connection, retention: Millis) -> None:
        self._db = db
        self._retention = retention
        self.recent = Recent(retention)
        """What need not be read."""
        self.damage: Damage | None = None
        """Who is told of damage that is found; nobody while the journal is being opened."""

    def get(self, job_id: UUID) -> Job | None:
        """The job as it was last committed. Raises `StoreUnavailable`, as all that read."""
        job = self.recent.get(job_id)
        if job is None and (job := self._read(job_id)) is not None:
            self.recent.read(job)
        if job is None or job.webhook is None or not job.done:  # which may have ended since
            return job
        return self._with_deliveries(job)

    def require(self, job_id: UUID, owner: str | None = None) -> Job:
        """The same; raises `JobExpired` or `JobNotFound` when there is none of that owner."""
        job = self.get(job_id)
        if job is None or owner not in (None, job.owner):
            raise (JobExpired if self.is_removed(job_id) else JobNotFound)(job_id)
        return job

    @_telling
    def with_secrets(self, job: Job) -> Job:
        """The job with its secrets, if it has any and has not ended."""
        return with_secrets(self._db, job)

    @_telling
    def due(
        self, now: Millis, limit: int, past: Past, held: Collection[UUID]
    ) -> tuple[list[Due], str | None]:
        """The deliveries of some receivers that are due, and up to which, None for the last."""
        return due(self._db, now, limit, past, held)

    @_telling
    def next_due(self, now: Millis) -> Millis | None:
        """When a delivery will be due that is not yet."""
        return next_due(self._db, now)

    @_telling
    def delivery_counts(self) -> tuple[int, Millis | None, int]:
        """How many deliveries are pending, since when the first of them is, how many were lost."""
        return counts(self._db)

    @_telling
    def scrubs(self) -> int:
        """How often secrets have been forgotten."""
        return int(self._rows("SELECT scrubs FROM marks")[0][0])

    @_telling
    def list(self, query: JobQuery) -> Page[Job]:
        """A page of jobs, newest first, without params, result and earlier attempts."""
        keys, last = keys_of(self._db, query)
        items = [self._job(row) for row in self._rows(_LISTED, (to_json(keys).decode(),))]
        return Page(items, None if last is None else from_halves(last, 0))

    @_telling
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
        return [self._job(row) for row in rows]

    @_telling
    def lines(self, job_id: UUID) -> tuple[LogLine, ...]:
        """The log lines that were kept of a job when its last attempt ended."""
        rows = self._rows("SELECT lines FROM logs WHERE high = ?", halves(job_id)[:1])
        return lines_of(rows[0][0]) if rows else ()

    @_telling
    def counts(self) -> dict[Kind, int]:
        """How many jobs there are, under no owner all, then each owner's own.

        Looks at each entry of two indexes.
        """
        everybody = "SELECT NULL, task, status, count(*) FROM jobs GROUP BY task, status"
        by_owner = (
            "SELECT owner, task, status, count(*) FROM jobs "
            "WHERE owner IS NOT NULL GROUP BY owner, task, status"
        )
        return {
            (owner, task, STATUSES[code]): count
            for owner, task, code, count in [*self._rows(everybody), *self._rows(by_owner)]
        }

    @_telling
    def durations(self, task: str, limit: int) -> Sequence[Millis]:
        """How long the last completed attempts of a task took."""
        sql = (
            "SELECT finished_at - started_at FROM jobs "
            "WHERE task = ? AND status = ? ORDER BY high DESC LIMIT ?"
        )
        bindings = (task, CODES[Status.COMPLETED], limit)
        return [duration for (duration,) in self._rows(sql, bindings)]

    @_telling
    def oldest_pending(self, owner: str | None = None) -> Millis | None:
        """When the pending job that was submitted first was, of an owner or of all."""
        pending = CODES[Status.PENDING]
        if owner is None:
            sql = "SELECT min(high) FROM jobs WHERE task = ? AND status = ?"
            asked = [(task, pending) for task in tasks_of(self._db)]
        else:
            sql = "SELECT min(high) FROM jobs WHERE owner = ? AND status = ?"
            asked = [(owner, pending)]
        firsts = [self._rows(sql, bindings)[0][0] for bindings in asked]
        return min((high >> 16 for high in firsts if high is not None), default=None)

    @_telling
    def last_removed_version(self) -> int:
        """The last change number of the jobs that have been removed."""
        return int(self._rows("SELECT last_version FROM marks")[0][0])

    @_telling
    def find_key(self, owner: str | None, key: str) -> tuple[UUID, bytes | None] | None:
        """The job of an idempotency key and the fingerprint it came with."""
        sql = (
            "SELECT high, low, fingerprint FROM jobs "
            "WHERE coalesce(owner, '') = ? AND idempotency_key = ?"
        )
        for high, low, fingerprint in self._rows(sql, (owner or "", key)):
            return from_halves(high, low), fingerprint
        return None

    @_telling
    def is_removed(self, job_id: UUID) -> bool:
        """Whether a job that is not there may have been removed by its age."""
        [(newest,)] = self._rows("SELECT newest_removed FROM marks")
        return job_id.version == 7 and job_id.int >> 64 <= newest

    @_telling
    def unfinished(self) -> Sequence[Job]:
        """The jobs that are pending, then those that are running, oldest first; no params."""
        sql = (
            f"SELECT {SUMMARY} FROM jobs INDEXED BY jobs_unfinished "
            "WHERE status < 2 ORDER BY status, high"
        )
        return [self._job(row) for row in self._rows(sql)]

    @_telling
    def newest_id(self) -> int:
        """The upper half of the newest id that was ever in the journal."""
        sql = "SELECT max(newest_removed, ifnull((SELECT max(high) FROM jobs), 0)) FROM marks"
        return int(self._rows(sql)[0][0])

    @_telling
    def last_version(self) -> int:
        """The last change number that was ever in the journal."""
        sql = (
            "SELECT max(last_version, ifnull((SELECT max(version) FROM jobs WHERE status > 1), 0),"
            " ifnull((SELECT max(version) FROM jobs WHERE status < 2), 0)) FROM marks"
        )
        return int(self._rows(sql)[0][0])

    @_telling
    def size(self) -> int:
        """How many bytes the journal holds; what was removed does not count."""
        sql = "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count"
        [(pages,)] = self._rows(sql)
        return int(pages) * _PAGE

    def close(self) -> None:
        """Close the connection, be it that SQLite cannot tidy up on a failing disk."""
        with contextlib.suppress(apsw.Error):
            self._db.close()

    @_telling
    def _with_deliveries(self, job: Job) -> Job:
        return with_deliveries(job, self._rows(OF_JOB, halves(job.id)[:1]))

    @_telling
    def _read(self, job_id: UUID) -> Job | None:
        for row in self._rows(_JOB, halves(job_id)):
            return self._job(row, self._earlier(row))
        return None

    def _earlier(self, row: Row) -> Sequence[Row]:
        high, attempt, started_at = row[0], row[8], row[12]
        # The current attempt stands in the job itself, until it is to be tried again.
        has_earlier = attempt > 1 or (attempt == 1 and started_at is None)
        return self._rows(_EARLIER, (high,)) if has_earlier else ()

    def _job(self, row: Row, earlier: Sequence[Row] = ()) -> Job:
        job = job_of(row, earlier, self._retention)
        _require_text(job.params)
        _require_text(job.result or b"")
        return job

    def _rows(self, sql: str, bindings: tuple[Any, ...] = ()) -> Sequence[Row]:
        return self._db.execute(sql, bindings).fetchall()

    def _unreadable(self, error: Exception) -> StoreUnavailable:
        text = f"{type(error).__name__}: {error}"
        if self.damage is not None and is_damage(error):
            self.damage.see(text)
        return StoreUnavailable(f"the journal cannot be read ({text})")
