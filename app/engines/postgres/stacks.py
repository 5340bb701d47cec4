"""Where a coroutine awaits that runs on another node: its node is asked, through the database."""

import asyncio
import json
from typing import Final
from uuid import UUID, uuid4

from app.engines.postgres.tables import Tables
from app.engines.postgres.worker import Worker
from app.engines.postgres.writer import Change
from app.jobs.errors import WorkerSilent
from app.jobs.models import Job
from app.jobs.stack import StackFrame
from app.jobs.texts import to_json
from app.scheduler import Status

PATIENCE: Final = 2.0
"""Seconds that a node has to answer."""

_ASK: Final = "SELECT pg_notify('awaitd_asked', %s)"
_SHOW: Final = "SELECT show_stack(%s, %s)"
_FETCH: Final = "DELETE FROM stacks WHERE asked = %s RETURNING frames"


class Stacks:
    """Asks other nodes, and answers them."""

    def __init__(self, tables: Tables, worker: Worker) -> None:
        self._tables = tables
        self._worker = worker
        self._asking: dict[UUID, asyncio.Future[None]] = {}

    async def of(self, job: Job) -> tuple[StackFrame, ...] | None:
        """Where a job awaits; None if it does not run.

        Raises `WorkerSilent` when its node does not answer, or `StoreUnavailable`.
        """
        if job.status is not Status.RUNNING:
            return None
        if (live := self._worker.live(job.id)) is not None:
            return live.frames()
        try:
            return await self._ask(job.id)
        except WorkerSilent:
            if (await self._tables.require(job.id)).status is Status.RUNNING:
                raise
            return None

    async def _ask(self, job_id: UUID) -> tuple[StackFrame, ...] | None:
        asked = uuid4()
        shown = self._asking[asked] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._tables.rows(_ASK, (f"{job_id} {asked}",))
                await shown
        except TimeoutError as error:
            raise WorkerSilent(job_id, PATIENCE) from error
        finally:
            del self._asking[asked]
        [(frames,)] = await self._tables.rows(_FETCH, (asked,))
        return None if frames is None else tuple(StackFrame(*row) for row in json.loads(frames))

    def asked(self, question: str) -> None:
        """Somebody wants to know: answer, if the job runs here."""
        job_id, asked = map(UUID, question.split())
        live = self._worker.live(job_id)
        if live is not None:
            frames = live.frames()
            rows = None if frames is None else [[f.function, f.file, f.line] for f in frames]
            text = None if rows is None else to_json(rows).decode()
            change = Change(_SHOW, (asked, text), _ignore, _ignore, again=False)
            self._worker.writer.queue(change)

    def shown(self, asked: str) -> None:
        """Somebody was answered."""
        asking = self._asking.get(UUID(asked))
        if asking is not None and not asking.done():
            asking.set_result(None)


def _ignore(_: object) -> None:
    """Who asks does not wait for long."""
