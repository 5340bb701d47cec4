"""A run with every kind of change of the journal in it, whose clients do not give up."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import apsw
import pytest

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.journal import FILE
from app.engines.embedded.reader import Reader
from app.jobs.errors import StoreUnavailable
from app.jobs.models import Job, JobQuery
from app.scheduler import Status
from tests.engines.clock import WallClock
from tests.engines.harness import LONG, ended, idle, removed
from tests.engines.puppets import Puppets, job_of

T = TypeVar("T")

RETENTION = 100.0
RETENTION_MILLIS = 100_000
LARGE = "x" * 10_000
"""A value that spills over pages."""


async def persist(engine: EmbeddedEngine, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Ask again and again while the store is unavailable, as clients are told to; read on."""
    async with asyncio.timeout(LONG):
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                await engine.list(JobQuery(limit=5))


class Script:
    """Played on one engine again and again, each time with another `number`."""

    def __init__(self, engine: EmbeddedEngine, puppets: Puppets, clock: WallClock) -> None:
        self.engine = engine
        self.puppets = puppets
        self.clock = clock
        self.shown: dict[UUID, Job] = {}
        """What the clients have been told last of each job that has not expired."""

    async def play(self, number: int) -> None:
        """Run it: every job must end as it should, and have been started as often."""
        puppets = self.puppets
        names = [f"{letter}{number}" for letter in "abcd"]
        a, b, c, d = names
        tasks = dict.fromkeys(names, "persistent") | {d: "talk"}
        jobs = {name: await self.submit(tasks[name], name) for name in names}
        assert (await self.cancel(jobs[c])).status is Status.CANCELLED
        puppets.fail(a, ValueError("again"))
        puppets.end(a, 1, attempt=2)
        puppets.end(d, LARGE)
        await puppets.begun(b)
        await self.cancel(jobs[b])
        found = [self.show(await ended(self.engine, job)) for job in jobs.values()]
        done, stopped = Status.COMPLETED, Status.CANCELLED
        assert [job.status for job in found] == [done, stopped, stopped, done]
        assert [puppets.started.count(name) for name in names] == [2, 1, 0, 1]
        assert [job.attempt for job in found] == [2, 1, 0, 1]
        lines = (await self.engine.inspect(jobs[d].id)).lines
        assert [line.message for line in lines] == ["a line"]
        await idle(self.engine)

    async def submit(self, task: str, name: str) -> Job:
        """A job that is submitted once, however often it takes."""
        new = job_of(task, name, idempotency_key=name, fingerprint=b"f", labels={"name": name})
        job = self.show((await persist(self.engine, lambda: self.engine.submit(new))).job)
        again = await self.engine.submit(new)
        assert again.replayed
        assert again.job.id == job.id
        return job

    async def cancel(self, job: Job) -> Job:
        """Cancel it; this cancel is on record from then on."""
        cancelled = self.show(await persist(self.engine, lambda: self.engine.cancel(job.id)))
        assert cancelled.cancel_requested_at is not None
        return cancelled

    async def expire(self) -> None:
        """Let the retention of all jobs pass."""
        expiring = list(self.shown.values())
        self.shown.clear()
        self.clock.set_by(RETENTION + 1)
        for job in expiring:
            await removed(self.engine, job)

    def show(self, job: Job) -> Job:
        """Note that a client was shown this."""
        self.shown[job.id] = job
        return job


def require_shown(image: Path, shown: Mapping[UUID, Job]) -> None:
    """All that has ended is in a copy of the store as it was shown."""
    with contextlib.closing(Reader(apsw.Connection(str(image / FILE)), RETENTION_MILLIS)) as reader:
        for job in shown.values():
            assert job.done
            assert reader.require(job.id) == job


async def until_ready(engine: EmbeddedEngine, within: float = 2.0) -> None:
    """Return when the engine says that it accepts work, which it must in time."""
    try:
        async with asyncio.timeout(within):
            while not engine.health().ready:  # noqa: ASYNC110  no event says
                await asyncio.sleep(0.001)
    except TimeoutError:
        pytest.fail(f"it is not ready after {within} s: {engine.health().reason}")
