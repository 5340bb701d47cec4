"""Engines that do one thing, for tests of what the service makes of it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import BinaryIO, NoReturn, Self
from uuid import UUID

from app.jobs.deliveries import Attempts, DeliveryFigures, Due, Past, Tried
from app.jobs.events import Inspection, JobEvent, Watch
from app.jobs.figures import Figures
from app.jobs.ids import JobIds
from app.jobs.models import EngineHealth, Job, JobQuery, NewJob, Page, Submitted
from app.scheduler import Status


class NothingToDeliver:
    """Deliveries of which there are none."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.attempts = Attempts()

    async def figures(self) -> DeliveryFigures:
        return DeliveryFigures(pending=0, oldest=None, lost=0, attempts=self.attempts)

    async def take(self, limit: int, past: Past) -> tuple[Sequence[Due], float | None]:
        return (), None

    async def any_left(self) -> bool:
        return False

    async def record(self, due: Due, tried: Tried) -> None: ...

    async def redeliver(self, job_id: UUID) -> bool:
        return False


class RefusingEngine:
    """Raises `error` whatever it is asked."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def replay(self, new: NewJob) -> Submitted | None:
        self._refuse()

    async def submit(self, new: NewJob) -> Submitted:
        self._refuse()

    async def get(self, job_id: UUID, *, owner: str | None = None) -> Job:
        self._refuse()

    async def list(self, query: JobQuery) -> Page[Job]:
        self._refuse()

    async def cancel(self, job_id: UUID, *, if_version: int | None = None) -> Job:
        self._refuse()

    async def wait(self, job_id: UUID, *, timeout: float, since: int | None = None) -> Job:
        self._refuse()

    async def check(self, new: NewJob) -> None:
        self._refuse()

    async def inspect(self, job_id: UUID, *, frames: bool = True) -> Inspection:
        self._refuse()

    def watch(self, watch: Watch) -> AsyncGenerator[JobEvent, None]:
        self._refuse()

    async def backup(self) -> BinaryIO:
        self._refuse()

    async def figures(self, owner: str | None = None) -> Figures:
        self._refuse()

    def expected(self, job: Job) -> float | None:
        return None

    def drain(self) -> None: ...

    has_owners = False
    deliveries = NothingToDeliver()

    def health(self) -> EngineHealth:
        return EngineHealth(ready=False, reason=str(self.error))

    def _refuse(self) -> NoReturn:
        raise self.error


class EndlessEngine(RefusingEngine):
    """Holds one running job that never changes, and tells when its waiters come and go."""

    def __init__(self) -> None:
        super().__init__(NotImplementedError())
        job_id = JobIds(lambda: 1).next()
        self.job = Job(
            id=job_id, task="sleep", status=Status.RUNNING, version=1, params=b"{}", run_at=0
        )
        self.waiting = threading.Event()
        self.left = threading.Event()

    async def replay(self, new: NewJob) -> Submitted | None:
        return None

    async def submit(self, new: NewJob) -> Submitted:
        return Submitted(self.job)

    async def get(self, job_id: UUID, *, owner: str | None = None) -> Job:
        return self.job

    async def list(self, query: JobQuery) -> Page[Job]:
        return Page((self.job,), self.job.id)

    async def cancel(self, job_id: UUID, *, if_version: int | None = None) -> Job:
        return self.job

    async def wait(self, job_id: UUID, *, timeout: float, since: int | None = None) -> Job:
        self.waiting.set()
        try:
            await asyncio.sleep(timeout)
        except asyncio.CancelledError:
            self.left.set()
            raise
        return self.job


class BreakingEngine(RefusingEngine):
    """Tells those who watch `first`, then raises `error`."""

    def __init__(self, error: Exception, *first: JobEvent) -> None:
        super().__init__(error)
        self._first = first

    async def watch(self, watch: Watch) -> AsyncGenerator[JobEvent, None]:
        for event in self._first:
            yield event
        self._refuse()
