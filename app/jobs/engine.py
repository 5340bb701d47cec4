"""The port: what accepts, keeps, runs and cancels jobs."""

from collections.abc import AsyncGenerator
from types import TracebackType
from typing import BinaryIO, Protocol, Self
from uuid import UUID

from app.jobs.deliveries import Deliveries
from app.jobs.events import Inspection, JobEvent, Watch
from app.jobs.figures import Figures
from app.jobs.models import EngineHealth, Job, JobQuery, NewJob, Page, Submitted


class Engine(Protocol):
    """An async context manager: opening recovers and starts, leaving drains."""

    async def __aenter__(self) -> Self:
        """Open the store, recover what a crash left, start jobs; raises `StartUpError`."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drain: let running jobs finish for the grace period, then interrupt them."""

    async def replay(self, new: NewJob) -> Submitted | None:
        """The job of the same key, if the submission has one that is known.

        Nothing else is checked. Raises `KeyReused` or `StoreUnavailable`.
        """

    async def submit(self, new: NewJob) -> Submitted:
        """Accept a job, or find that of the same key; durable when it returns.

        Looks up the key before anything else is checked. Raises `KeyReused`, `ShuttingDown`,
        `UnknownTask`, `InvalidParams`, `QueueFull`, `StoreFull` or `StoreUnavailable`, and
        `JobNotFound` or `JobExpired` when the job that it copies is not there.
        """

    async def get(self, job_id: UUID, *, owner: str | None = None) -> Job:
        """The job as it was last committed; raises `JobNotFound` or `JobExpired`.

        With an `owner`, anybody else's job is as one that is not there.
        """

    async def list(self, query: JobQuery) -> Page[Job]:
        """A page of jobs, newest first."""

    async def cancel(self, job_id: UUID, *, if_version: int | None = None) -> Job:
        """Ask a job to stop, durable when it returns; a finished one is returned unchanged.

        Raises `JobNotFound`, `JobExpired`, `StoreUnavailable`, and `VersionMismatch` when the
        job is no longer at `if_version`.
        """

    async def wait(self, job_id: UUID, *, timeout: float, since: int | None = None) -> Job:
        """The job once it has ended, or its version is not `since`, or time has run out.

        `timeout` is in seconds. While the engine drains, the job as it stands.
        """

    async def check(self, new: NewJob) -> None:
        """Raise what `submit` would raise about the submission itself; create nothing."""

    async def inspect(self, job_id: UUID, *, frames: bool = True) -> Inspection:
        """Where a running job awaits, unless no `frames` are wanted, and its log lines.

        Raises `JobNotFound`, `JobExpired` or `WorkerSilent`.
        """

    def watch(self, watch: Watch) -> AsyncGenerator[JobEvent, None]:
        """The events of one job, to its end, or of all that match, until the engine drains.

        Carries states, not history: who reads slowly is told the latest state of each job.
        """

    async def backup(self) -> BinaryIO:
        """A consistent copy of the store with all that was acknowledged before, open for reading.

        It is gone once it is closed. Raises `StoreUnavailable` or `NoBackup`.
        """

    async def figures(self, owner: str | None = None) -> Figures:
        """Counts, rates and durations of an owner's jobs, or of everybody's, and slots."""

    def expected(self, job: Job) -> float | None:
        """Seconds until the job should end, by what earlier ones took; None if none is known."""

    def drain(self) -> None:
        """Take no more submissions and let every waiter go; running jobs go on."""

    @property
    def deliveries(self) -> Deliveries:
        """What is to be told by webhooks."""

    @property
    def has_owners(self) -> bool:
        """Whether any job that it knows of, or has known of since it was opened, has an owner."""

    def health(self) -> EngineHealth:
        """Whether it accepts work, and what it holds."""
