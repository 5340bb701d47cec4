"""What the distributed engine has to tell those who watch."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from app.engines.postgres.reading import Reading
from app.engines.postgres.tables import Tables
from app.engines.postgres.worker import Worker
from app.jobs.events import LogLine
from app.jobs.live import LiveJob
from app.jobs.models import Job, Progress

_BATCH: Final = 100


class WatchedTables:
    """The tables, as far as they are settled. `Watched` says what each method promises."""

    def __init__(self, tables: Tables, worker: Worker, reading: Reading) -> None:
        self._tables = tables
        self._worker = worker
        self._reading = reading
        self._view = reading.view

    def live(self, job_id: UUID) -> LiveJob | None:
        """Those that other nodes run are not among them."""
        return self._worker.live(job_id)

    def running_jobs(self) -> Sequence[UUID]:
        """Those that this node's worker runs."""
        return self._worker.running_jobs()

    async def begin(self) -> None:
        """Nothing is held back."""

    async def get(self, job_id: UUID) -> Job | None:
        """As the tables have it."""
        return await self._tables.get(job_id)

    async def known(self, job_id: UUID) -> Job | None:
        """As this node has counted it, if it has not ended."""
        return self._view.unfinished(job_id) or await self._tables.get(job_id)

    async def reports(self, job_id: UUID) -> tuple[Progress | None, Sequence[LogLine]]:
        """What its node has written of it."""
        return await self._tables.reports(job_id)

    async def position(self) -> int:
        """As far as this node has read, which is up to all that was committed when it was asked."""
        await self._reading.reach(await self._tables.last_version())
        return self._view.last_version

    async def reaches(self, since: int) -> bool:
        """From the last removal on."""
        _, last_removed = await self._tables.marks()
        return last_removed <= since <= await self._tables.last_version()

    async def changed_since(self, version: int) -> Sequence[Job]:
        """What this node remembers, if it does, else a batch out of the tables."""
        await self._reading.catch_up()
        known = self._view.changed_since(version)
        if known is not None:
            return list(known)
        return (await self._tables.changed_since(version + 1, _BATCH)).jobs
