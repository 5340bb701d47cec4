"""What those who watch jobs are told."""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from app.jobs.models import Job, JobQuery, Millis, Progress
from app.jobs.stack import StackFrame


class EventKind(StrEnum):
    """What an event tells."""

    STATUS = "status"
    """A job that has not ended changed; carries its summary and a version."""
    DONE = "done"
    """A job has ended; carries its summary and a version."""
    PROGRESS = "progress"
    LOG = "log"
    RESET = "reset"
    """The version to resume from is out of reach: read the list again. Carries the version now."""
    POSITION = "position"
    """The version from which a stream goes on, before there is any event."""
    ALIVE = "alive"
    """Nothing has happened for a while."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a coroutine wrote; `number` counts the lines of its job."""

    number: int
    time: Millis
    attempt: int
    message: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What can be seen of a job from inside: `frames` is None when it is not running."""

    job: Job
    frames: tuple[StackFrame, ...] | None
    lines: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One event. `version` is the durable change number to resume from, where it has one."""

    kind: EventKind
    version: int | None = None
    job: Job | None = None
    job_id: UUID | None = None
    progress: Progress | None = None
    line: LogLine | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What to watch: one job, or those that match the query's filters; after which version."""

    job_id: UUID | None = None
    query: JobQuery = field(default_factory=JobQuery)
    since: int | None = None
