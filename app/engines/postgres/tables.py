"""What is asked of the tables: committed state only."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from app.engines.postgres.connections import Async, conninfo
from app.engines.postgres.rows import (
    CODES,
    COLUMNS,
    STATUSES,
    SUMMARY,
    Row,
    job_of,
    label_key,
    lines_of,
    progress_of,
)
from app.jobs.errors import JobExpired, JobNotFound, StoreUnavailable
from app.jobs.events import LogLine
from app.jobs.figures import Kind
from app.jobs.ids import first_at
from app.jobs.models import Job, JobQuery, Millis, Page, Progress
from app.jobs.record import record
from app.jobs.secrets import is_masked

_CONNECTIONS: Final = 4
_TIMEOUT: Final = 5.0
"""Seconds that who reads waits for a connection."""

_PROGRESS: Final = "LEFT JOIN reports r ON r.id = j.id AND r.attempt = j.attempt AND j.status = 1"
_JOB: Final = f"SELECT {COLUMNS}, r.progress FROM jobs j {_PROGRESS} WHERE j.id = %s"
_EARLIER: Final = (
    "SELECT number, started_at, finished_at, outcome, error FROM attempts "
    "WHERE id = %s ORDER BY number"
)
_CHANGED: Final = (
    f"WITH bound AS (SELECT settled() AS settled) SELECT bound.settled, {SUMMARY} "
    "FROM bound LEFT JOIN jobs j ON j.version >= %s AND j.version < bound.settled "
    "ORDER BY j.version LIMIT %s"
)
_POSITION: Final = (
    "SELECT settled(), greatest(last_version, "
    "(SELECT version FROM jobs WHERE version < settled() ORDER BY version DESC LIMIT 1)) FROM marks"
)
_COUNTS: Final = "SELECT owner, task, status, count(*) FROM jobs GROUP BY owner, task, status"
_MOST: Final = UUID(int=(1 << 128) - 1)
_LATEST: Final = 281_474_976_710_655
"""Milliseconds of the last time that an id can carry."""


@record(frozen=True, slots=True)
class Snapshot:
    """The tables at one moment: `ahead` are the changes that are committed, but not settled."""

    settled: int
    last_version: int
    unfinished: Sequence[Job]
    ahead: Mapping[UUID, int]
    counts: Mapping[Kind, int]


class Tables:
    """Reads the tables. Jobs expire `retention` after their end."""

    def __init__(self, url: str, retention: Millis) -> None:
        self._retention = retention
        self._pool: AsyncConnectionPool[Async] = AsyncConnectionPool(
            conninfo(url),
            kwargs={"autocommit": True},
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_TIMEOUT,
            reconnect_timeout=_TIMEOUT,
            open=False,
            name="awaitd",
        )

    async def open(self) -> None:
        """Connect."""
        await self._pool.open(wait=True, timeout=_TIMEOUT)

    async def close(self) -> None:
        """Disconnect."""
        await self._pool.close()

    async def rows(self, query: str | sql.Composed, values: Sequence[Any] = ()) -> list[Row]:
        """What a query gives. Raises `StoreUnavailable`, as all that read."""
        text = query.encode() if isinstance(query, str) else query
        try:
            async with self._pool.connection() as db:
                return list(await (await db.execute(text, values)).fetchall())
        except (psycopg.Error, PoolTimeout, PoolClosed) as error:
            raise unavailable(error) from error

    async def get(self, job_id: UUID) -> Job | None:
        """The job as it was last committed, with the progress that was reported."""
        for *row, progress in await self.rows(_JOB, (job_id,)):
            attempt, started_at = row[7], row[11]
            has_earlier = attempt > 1 or (attempt == 1 and started_at is None)
            earlier = await self.rows(_EARLIER, (job_id,)) if has_earlier else ()
            return job_of(row, self._retention, earlier, progress)
        return None

    async def require(self, job_id: UUID, owner: str | None = None) -> Job:
        """The same; raises `JobExpired` or `JobNotFound` when there is none of that owner."""
        job = await self.get(job_id)
        if job is None or owner not in (None, job.owner):
            raise (JobExpired if await self._is_removed(job_id) else JobNotFound)(job_id)
        return job

    async def with_secrets(self, job: Job) -> Job:
        """The job with its secrets, if it has any and has not ended."""
        if not is_masked(job.params):
            return job
        rows = await self.rows("SELECT params FROM secrets WHERE id = %s", (job.id,))
        return replace(job, secrets=bytes(rows[0][0])) if rows else job

    async def list(self, query: JobQuery) -> Page[Job]:
        """A page of jobs, newest first, without params, result and earlier attempts."""
        text, values = _page(query)
        rows = await self.rows(text, values)
        items = [
            job_of(row, self._retention, (), progress) for *row, progress in rows[: query.limit]
        ]
        return Page(items, items[-1].id if len(rows) > query.limit else None)

    async def changed_since(self, position: int, limit: int) -> tuple[int, Sequence[Job]]:
        """The jobs whose last change is at `position` or above it, in order, and what is settled.

        Nothing that is still to be committed will be below what is settled.
        """
        rows = await self.rows(_CHANGED, (position, limit))
        jobs = [job_of(row[1:], self._retention) for row in rows if row[1] is not None]
        return rows[0][0], jobs

    async def find_key(self, owner: str | None, key: str) -> tuple[UUID, bytes | None] | None:
        """The job of an idempotency key and the fingerprint it came with."""
        text = (
            "SELECT id, fingerprint FROM jobs "
            "WHERE coalesce(owner, '') = %s AND idempotency_key = %s"
        )
        for job_id, fingerprint in await self.rows(text, (owner or "", key)):
            return job_id, None if fingerprint is None else bytes(fingerprint)
        return None

    async def reports(self, job_id: UUID) -> tuple[Progress | None, tuple[LogLine, ...]]:
        """What a job's coroutine has reported: its progress, and its last log lines."""
        text = "SELECT progress, lines FROM reports WHERE id = %s"
        for progress, lines in await self.rows(text, (job_id,)):
            return progress_of(progress), lines_of(lines)
        return None, ()

    async def durations(self, tasks: Sequence[str], limit: int) -> Mapping[str, Sequence[Millis]]:
        """How long the last completed attempts of tasks took."""
        text = (
            "SELECT t, d.took FROM unnest(%s::text[]) AS t, LATERAL ("
            "SELECT finished_at - started_at AS took FROM jobs "
            "WHERE task = t AND status = 2 ORDER BY id DESC LIMIT %s) AS d"
        )
        found: dict[str, list[Millis]] = {}
        for task, took in await self.rows(text, (tasks, limit)):
            found.setdefault(task, []).append(took)
        return found

    async def oldest_pending(self, owner: str | None) -> Millis | None:
        """When the pending job that was submitted first was, of an owner or of all."""
        text = "SELECT id FROM jobs WHERE status = 0"
        values: tuple[str, ...] = ()
        if owner is not None:
            text, values = f"{text} AND owner = %s", (owner,)
        rows = await self.rows(f"{text} ORDER BY id LIMIT 1", values)
        return rows[0][0].int >> 80 if rows else None

    async def marks(self) -> tuple[UUID, int]:
        """The newest id and the last change number of the jobs that have been removed."""
        [(newest, last_version)] = await self.rows("SELECT * FROM marks")
        return newest, last_version

    async def newest_id(self) -> int:
        """The upper half of the newest id that was ever in the tables."""
        last = "(SELECT id FROM jobs ORDER BY id DESC LIMIT 1)"
        [(newest,)] = await self.rows(f"SELECT greatest(newest_removed, {last}) FROM marks")
        return int(newest.int >> 64)

    async def last_version(self) -> int:
        """The greatest change number that is committed, settled or not."""
        last = "(SELECT version FROM jobs ORDER BY version DESC LIMIT 1)"
        [(version,)] = await self.rows(f"SELECT greatest(last_version, {last}) FROM marks")
        return int(version)

    async def snapshot(self) -> "Snapshot":
        """All that a process has to know at its start, as of one moment."""
        try:
            async with self._pool.connection() as db, db.transaction():
                await db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                [[settled, last]] = await _all(db, _POSITION)
                unfinished = await _all(db, f"SELECT {SUMMARY} FROM jobs j WHERE status < 2")
                ahead = await _all(db, "SELECT id, version FROM jobs WHERE version >= settled()")
                counts = await _all(db, _COUNTS)
        except (psycopg.Error, PoolTimeout, PoolClosed) as error:
            raise unavailable(error) from error
        jobs = [job_of(row, self._retention) for row in unfinished]
        return Snapshot(settled, last, jobs, dict(map(tuple, ahead)), _by_kind(counts))

    async def _is_removed(self, job_id: UUID) -> bool:
        newest, _ = await self.marks()
        return job_id.version == 7 and job_id <= newest


def unavailable(error: BaseException) -> StoreUnavailable:
    """What callers are told when PostgreSQL does not answer, or says no."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return StoreUnavailable(f"the database cannot be used ({text})")


async def _all(db: Async, text: str) -> list[Row]:
    return list(await (await db.execute(text.encode())).fetchall())


def _by_kind(rows: Sequence[Row]) -> dict[Kind, int]:
    """Counts by owner, task and status; under no owner they are of all jobs."""
    counts: Counter[Kind] = Counter()
    for owner, task, code, number in rows:
        for who in {owner, None}:
            counts[who, task, STATUSES[code]] += number
    return counts


def _page(query: JobQuery) -> tuple[str, list[Any]]:
    """A page and one more: each combination of values out of one index in order, then merged."""
    conditions, common = _conditions(query)
    parts: list[str] = []
    values: list[Any] = []
    for statuses, tasks in _streams(query):
        where = [
            *conditions,
            *(["status = %s"] if statuses else []),
            *(["task = %s"] if tasks else []),
        ]
        parts.append(f"(SELECT id FROM jobs WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT %s)")
        values += [*common, *statuses, *tasks, query.limit + 1]
    text = (
        f"SELECT {SUMMARY}, r.progress FROM ({' UNION ALL '.join(parts)}) AS page "
        f"JOIN jobs j USING (id) {_PROGRESS} ORDER BY j.id DESC LIMIT %s"
    )
    return text, [*values, query.limit + 1]


def _streams(query: JobQuery) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
    statuses: list[tuple[int, ...]]
    tasks: list[tuple[str, ...]]
    statuses = [(CODES[status],) for status in dict.fromkeys(query.statuses)] or [()]
    tasks = [(task,) for task in dict.fromkeys(query.tasks)] or [()]
    if query.tasks and not query.statuses:  # the index by task has the status before the id
        statuses = [(code,) for code in range(len(STATUSES))]
    if query.owner is not None and not query.statuses:
        statuses = [(code,) for code in range(len(STATUSES))]
    return [(status, task) for status in statuses for task in tasks]


def _conditions(query: JobQuery) -> tuple[list[str], list[Any]]:
    conditions, values = ["id < %s", "id >= %s"], [*_range(query)]
    if query.owner is not None:
        conditions.append("owner = %s")
        values.append(query.owner)
    if query.labels:
        conditions.append("label_keys @> %s::text[]")
        values.append([label_key(name, value) for name, value in query.labels])
    return conditions, values


def _range(query: JobQuery) -> tuple[Any, Any]:
    """The ids that the page may have: below the first, from the second on."""
    below = query.before or _MOST
    if query.created_before is not None:
        below = min(below, _first_id(query.created_before))
    least = UUID(int=0) if query.created_after is None else _first_id(query.created_after)
    return below, least


def _first_id(time: Millis) -> UUID:
    return _MOST if time > _LATEST else UUID(int=first_at(max(time, 0)).int & ~(0xFFFF << 64))
