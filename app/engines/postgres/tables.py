"""What is asked of the tables: committed state only."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import psycopg
from msgspec import Struct
from msgspec.structs import replace
from psycopg import sql
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from app.engines.postgres.connections import Async, begin_session, conninfo
from app.engines.postgres.listing import PROGRESS, page_of
from app.engines.postgres.outage import unavailable
from app.engines.postgres.rows import (
    COLUMNS,
    SUMMARY,
    Row,
    counts_of,
    job_of,
    numbers_of,
    progress_of,
)
from app.jobs.errors import JobExpired, JobNotFound
from app.jobs.events import LogLine
from app.jobs.figures import Kind
from app.jobs.models import Job, JobQuery, Millis, Page, Progress
from app.jobs.secrets import is_masked
from app.jobs.stored import DELIVERY, lines_of, with_deliveries

_CONNECTIONS: Final = 4
_TIMEOUT: Final = 10.0
"""Seconds that who reads waits for a connection, and for what was asked in all."""

_SOON: Final = 1.0
"""The same while the database is known to be away."""

_JOB: Final = f"SELECT {COLUMNS}, r.progress FROM jobs j {PROGRESS} WHERE j.id = %s"
_EARLIER: Final = (
    "SELECT number, started_at, finished_at, outcome, error FROM attempts "
    "WHERE id = %s AND number <= %s ORDER BY number"
)
_DELIVERIES: Final = f"SELECT {DELIVERY} FROM deliveries WHERE id = %s"
_CHANGED: Final = (
    "WITH bound AS (SELECT settled() AS settled, ("
    "SELECT version FROM jobs ORDER BY version DESC LIMIT 1) AS newest) "
    f"SELECT bound.settled, bound.newest, {SUMMARY} "
    "FROM bound LEFT JOIN jobs j ON j.version >= %s AND j.version < bound.settled "
    "ORDER BY j.version LIMIT %s"
)
_POSITION: Final = (
    "SELECT settled(), greatest(last_version, "
    "(SELECT version FROM jobs WHERE version < settled() ORDER BY version DESC LIMIT 1)) FROM marks"
)
_REMOVED: Final = "SELECT owner, task, status, number FROM removed"
_SAMPLE: Final = (
    "SELECT avg(pg_column_size(params) + coalesce(pg_column_size(result), 0))::float FROM jobs "
    "TABLESAMPLE SYSTEM (least(100, 1e5 * 8192 / greatest(pg_relation_size('jobs'), 1)))"
)
_ROW: Final = 600
"""Bytes of a job beside its params and its result, in the table and its indexes: half of them are
what its changes leave until PostgreSQL has cleaned up."""

_COUNTS: Final = "SELECT owner, task, status, count(*) FROM jobs GROUP BY owner, task, status"


class Changes(Struct, frozen=True):
    """What has changed. Nothing that is still to be committed will be below what is settled."""

    settled: int
    newest: int
    """The greatest change number that is committed, settled or not."""
    jobs: Sequence[Job]


class Snapshot(Struct, frozen=True):
    """The tables at one moment: `ahead` are the changes that are committed, but not settled."""

    settled: int
    last_version: int
    unfinished: Sequence[Job]
    ahead: Mapping[UUID, int]
    counts: Mapping[Kind, int]
    removed: Mapping[Kind, int]
    """How many had left by then."""


class Tables:
    """Reads the tables. Jobs expire `retention` after their end."""

    def __init__(self, url: str, retention: Millis) -> None:
        self._retention = retention
        self._pool: AsyncConnectionPool[Async] = AsyncConnectionPool(
            conninfo(url),
            kwargs={"autocommit": True},
            configure=begin_session,
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_TIMEOUT,
            reconnect_timeout=_TIMEOUT,
            open=False,
            name="awaitd",
        )
        self.is_away: Callable[[], bool] = lambda: False
        """Whether it is known that the database does not answer."""

    async def open(self) -> None:
        """Connect."""
        await self._pool.open(wait=True, timeout=_TIMEOUT)

    async def close(self) -> None:
        """Disconnect."""
        await self._pool.close()

    async def rows(
        self,
        query: str | sql.Composed,
        values: Sequence[Any] = (),
        begun: Callable[[], object] = lambda: None,
    ) -> list[Row]:
        """What a query gives, `begun` once there is a connection. Raises `StoreUnavailable`."""
        text = query.encode() if isinstance(query, str) else query
        with _cancellable():
            try:
                async with asyncio.timeout(_TIMEOUT):
                    return await self._ask(text, values, begun)
            except (psycopg.Error, PoolTimeout, PoolClosed, TimeoutError) as error:
                raise unavailable(error) from error

    async def _ask(
        self, text: bytes | sql.Composed, values: Sequence[Any], begun: Callable[[], object]
    ) -> list[Row]:
        """Ask again if a connection broke: maybe long ago, and the database is back."""
        timeout = _SOON if self.is_away() else _TIMEOUT
        broken = 0
        while True:
            async with self._pool.connection(timeout) as db:
                begun()
                try:
                    return list(await (await db.execute(text, values)).fetchall())
                except psycopg.OperationalError:
                    broken += 1
                    if not db.broken or broken > _CONNECTIONS:
                        raise
            timeout = _SOON

    async def get(self, job_id: UUID) -> Job | None:
        """The job as it was last committed, with the progress that was reported."""
        rows = await self.rows(_JOB, (job_id,))
        return await self.whole(rows[0]) if rows else None

    async def whole(self, row: Row) -> Job:
        """The job of what was read of it: `COLUMNS`, and its progress."""
        *row, progress = row
        job_id, attempt, started_at = row[0], row[7], row[11]
        ended = attempt if started_at is None else attempt - 1  # more may have by now
        earlier = await self.rows(_EARLIER, (job_id, ended)) if ended else ()
        job = job_of(row, self._retention, earlier, progress)
        if job.webhook is None or not job.done:  # which may have ended since
            return job
        return with_deliveries(job, await self.rows(_DELIVERIES, (job_id,)))

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
        text, values = page_of(query)
        rows = await self.rows(text, values)
        items = [
            job_of(row, self._retention, (), progress) for *row, progress in rows[: query.limit]
        ]
        return Page(items, items[-1].id if len(rows) > query.limit else None)

    async def changed_since(self, position: int, limit: int) -> "Changes":
        """The jobs whose last change is settled, and at `position` or above it, in order."""
        rows = await self.rows(_CHANGED, (position, limit))
        jobs = [job_of(row[2:], self._retention) for row in rows if row[2] is not None]
        return Changes(rows[0][0], rows[0][1] or 0, jobs)

    async def unseen(self, past: str | None) -> tuple[str, Sequence[Job]]:
        """A snapshot, and the jobs whose last change is in it and not in the `past` one.

        Without a past one: those whose last change is not settled.
        """
        text = (
            f"SELECT pg_current_snapshot()::text, {SUMMARY} "
            "FROM (VALUES (1)) AS one LEFT JOIN unseen(%s) AS j ON true"
        )
        rows = await self.rows(text, (past,))
        return rows[0][0], [job_of(row[1:], self._retention) for row in rows if row[1] is not None]

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
        [(newest, last_version)] = await self.rows("SELECT newest_removed, last_version FROM marks")
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

    async def size(self, jobs: int) -> int:
        """How many bytes so many jobs take, by a sample of them: tables do not shrink."""
        [(average,)] = await self.rows(_SAMPLE)
        return round(jobs * (_ROW + (average or 0)))

    async def snapshot(self) -> "Snapshot":
        """All that a process has to know at its start, as of one moment."""
        try:
            async with self._pool.connection() as db, db.transaction():
                await db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                [[settled, last]] = await _all(db, _POSITION)
                unfinished = await _all(db, f"SELECT {SUMMARY} FROM jobs j WHERE status < 2")
                ahead = await _all(db, "SELECT id, version FROM jobs WHERE version >= settled()")
                counts = await _all(db, _COUNTS)
                removed = await _all(db, _REMOVED)
        except (psycopg.Error, PoolTimeout, PoolClosed) as error:
            raise unavailable(error) from error
        jobs = [job_of(row, self._retention) for row in unfinished]
        versions = dict(map(tuple, ahead))
        return Snapshot(settled, last, jobs, versions, counts_of(counts), numbers_of(removed))

    async def removed(self) -> Mapping[Kind, int]:
        """How many jobs have been removed since the beginning, by owner, task and status."""
        return numbers_of(await self.rows(_REMOVED))

    async def _is_removed(self, job_id: UUID) -> bool:
        newest, _ = await self.marks()
        return job_id.version == 7 and job_id <= newest


@contextlib.contextmanager
def _cancellable() -> Iterator[None]:
    """Raise the `CancelledError` that was swallowed within, for which `wait_for` is to blame.

    Before Python 3.12 it forgets a cancel that comes together with what it waits for.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


async def _all(db: Async, text: str) -> list[Row]:
    return list(await (await db.execute(text.encode())).fetchall())
