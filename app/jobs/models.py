"""What a job is. Times are milliseconds since the Unix epoch, UTC; durations are seconds."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID

from msgspec import Struct, field

from app.jobs.ids import created_at
from app.jobs.webhooks import Delivery, Webhook
from app.scheduler import Status

T = TypeVar("T")

Millis: TypeAlias = int
"""Milliseconds since the Unix epoch, UTC."""

Json: TypeAlias = bytes
"""One JSON text, UTF-8."""


class ErrorType(StrEnum):
    """Why a job failed."""

    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"
    NOT_STARTED_IN_TIME = "not-started-in-time"
    BAD_RESULT = "bad-result"
    INVALID_PARAMS = "invalid-params"
    UNKNOWN_TASK = "unknown-task"


class JobError(Struct, frozen=True):
    """Why a job or an attempt failed; `exception` is the class name of what was raised, if any."""

    type: ErrorType
    message: str
    exception: str | None = None


class Progress(Struct, frozen=True):
    """How far a running coroutine says it is: a fraction from 0 to 1, a message, or both."""

    fraction: float | None = None
    message: str | None = None


class Attempt(Struct, frozen=True):
    """One run of a job. `outcome` is the status it ended in, None while it runs."""

    number: int
    started_at: Millis
    finished_at: Millis | None = None
    outcome: Status | None = None
    error: JobError | None = None


class Job(Struct, frozen=True, kw_only=True):
    """A job as it was last committed, with the progress of its running attempt."""

    id: UUID
    task: str
    status: Status
    version: int
    """Grows with every committed change, store-wide."""
    params: Json
    """As submitted, with asterisks in the place of what is secret."""
    secrets: Json | None = None
    """What stands there, for the coroutine alone; None where it is not needed, or was forgotten."""
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    timeout: float | None = None
    attempt: int = 0
    max_attempts: int = 1
    attempts: tuple[Attempt, ...] = ()
    run_at: Millis
    start_by: Millis | None = None
    started_at: Millis | None = None
    finished_at: Millis | None = None
    expires_at: Millis | None = None
    cancel_requested_at: Millis | None = None
    result: Json | None = None
    error: JobError | None = None
    progress: Progress | None = None
    owner: str | None = None
    traceparent: str | None = None
    webhook: Webhook | None = None
    deliveries: tuple[Delivery, ...] = ()
    """Of its webhook; not in lists."""

    def __repr__(self) -> str:
        """Without what its caller sent: some of that may be secret."""
        return f"Job({self.id} of {self.task!r}, {self.status}, version {self.version})"

    @property
    def created_at(self) -> Millis:
        """When it was submitted."""
        return created_at(self.id)

    @property
    def done(self) -> bool:
        """True when it has ended and never changes again."""
        return self.status.finished


class NewJob(Struct, frozen=True, kw_only=True):
    """A submission as the caller made it; the engine checks it against the registry.

    `run_at` or `delay` (seconds), not both. A key is remembered as long as its job, for its
    owner; the same key with another `fingerprint` is refused.
    """

    task: str = ""
    """May be empty in a copy, which then has its original's task, and its params likewise."""
    params: Json | None = None
    copy_of: UUID | None = None
    priority: int | None = None
    """None: the task's own."""
    delay: float | None = None
    run_at: Millis | None = None
    start_within: float | None = None
    timeout: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: str | None = None
    copies_any: bool = True
    """Whether it may be a copy of any owner's job, rather than of its own owner's only."""
    idempotency_key: str | None = None
    fingerprint: bytes | None = None
    traceparent: str | None = None
    webhook: Webhook | None = None

    def __repr__(self) -> str:
        """Without what the caller sent: some of that may be secret."""
        return f"NewJob({self.task!r} of {self.owner!r})"


class Submitted(Struct, frozen=True):
    """The job of a submission; `replayed` when its key was known already."""

    job: Job
    replayed: bool = False


class JobQuery(Struct, frozen=True, kw_only=True):
    """Which jobs to list, newest first, and from where: `before` is the last id already seen.

    Several values of one filter are alternatives; all filters and all labels have to fit.
    `created_after` is the earliest time, `created_before` is after the latest.
    """

    limit: int = 50
    before: UUID | None = None
    owner: str | None = None
    """Only this owner's jobs; None for everybody's."""
    statuses: tuple[Status, ...] = ()
    tasks: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    created_after: Millis | None = None
    created_before: Millis | None = None


class Page(Struct, Generic[T], frozen=True):
    """Some of a longer list; `next` is where the following page starts, None at the end."""

    items: Sequence[T]
    next: UUID | None = None


class EngineHealth(Struct, frozen=True, kw_only=True):
    """Whether the engine accepts work: `reason` says why not."""

    ready: bool
    reason: str | None = None
    pending: int = 0
    running: int = 0
    unknown_tasks: Mapping[str, int] = field(default_factory=dict)
    """Pending jobs whose task is not in the registry, by task."""
