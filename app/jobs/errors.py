"""What can be wrong with a job, its task or the engine; the API floor maps each to a problem."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


class JobsError(Exception):
    """Base of every error of this floor."""


class CallerError(JobsError):
    """The caller did wrong; the same call gets the same answer again."""


class ServiceError(JobsError):
    """It went wrong here; the same call may succeed after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StartUpError(JobsError):
    """The service cannot start; the message says what to change."""


@dataclass(frozen=True, slots=True)
class ParamError:
    """One thing wrong with a submission: a JSON pointer into it, what is wrong, a short code."""

    pointer: str
    detail: str
    code: str


class InvalidParams(CallerError):
    """Raised when a submission does not fit its task, with each thing that is wrong."""

    def __init__(self, errors: Sequence[ParamError]) -> None:
        super().__init__("; ".join(f"{error.pointer}: {error.detail}" for error in errors))
        self.errors = tuple(errors)


class UnknownTask(CallerError):
    """Raised when no task of that name is in the registry, with the names that come close."""

    def __init__(self, name: str, close: Sequence[str]) -> None:
        hint = f"; did you mean {' or '.join(close)}?" if close else "; GET /tasks lists them"
        super().__init__(f"there is no task {name[:64]!r}{hint}")
        self.name = name
        self.close = tuple(close)


class JobNotFound(CallerError):
    """Raised when there is no job of that id, and never was one that is known of."""

    def __init__(self, job_id: UUID) -> None:
        super().__init__(f"there is no job {job_id}")
        self.job_id = job_id


class JobExpired(CallerError):
    """Raised when a job of that id has been removed after its retention period."""

    def __init__(self, job_id: UUID) -> None:
        super().__init__(f"job {job_id} was removed after its retention period")
        self.job_id = job_id


class KeyReused(CallerError):
    """Raised when an idempotency key comes again with another body."""

    def __init__(self, job_id: UUID) -> None:
        super().__init__(f"this idempotency key belongs to another submission, of job {job_id}")
        self.job_id = job_id


class VersionMismatch(CallerError):
    """Raised when a job is no longer as the caller last saw it."""

    def __init__(self, job_id: UUID) -> None:
        super().__init__(f"job {job_id} has changed since that version")
        self.job_id = job_id


class QueueFull(ServiceError):
    """Raised when as many jobs are pending as the settings allow."""

    def __init__(self, depth: int, limit: int) -> None:
        super().__init__(f"{depth} jobs are pending and {limit} may be: wait for some to start")
        self.depth = depth
        self.limit = limit


class StoreFull(ServiceError):
    """Raised when the store has reached its size limit; jobs leave it by age only."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the store holds {size} bytes and may hold {limit}", retry_after=60)
        self.size = size
        self.limit = limit


class ShuttingDown(ServiceError):
    """Raised when the service takes no more submissions because it is stopping."""

    def __init__(self) -> None:
        super().__init__("this server is shutting down: submit to another one, or again later")


class NoBackup(CallerError):
    """Raised when the engine makes no backups; the message says what does."""


class WorkerSilent(ServiceError):
    """Raised when the worker that runs a job does not answer."""

    def __init__(self, job_id: UUID, seconds: float) -> None:
        super().__init__(
            f"the worker that runs job {job_id} has not answered for {seconds:g} s: a coroutine "
            "may block its event loop, which its log would say"
        )
        self.job_id = job_id


class StoreUnavailable(ServiceError):
    """Raised when the store cannot be used; what was asked for did not happen or is unknown."""
