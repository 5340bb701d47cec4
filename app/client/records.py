"""What the client gives back: the service's JSON as frozen records, with times that are aware."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from app.scheduler import Status


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job or an attempt failed."""

    type: str
    """`exception`, `timeout`, `interrupted`, `not-started-in-time`, `bad-result`,
    `invalid-params` or `unknown-task`."""
    exception: str | None
    """The name of the class that was raised, if any was."""
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a coroutine says it is: a fraction from 0 to 1, a message, or both."""

    fraction: float | None
    message: str | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a coroutine wrote, in which attempt."""

    time: datetime
    message: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job. `outcome` is the status that it ended in, None while it runs."""

    number: int
    started_at: datetime
    finished_at: datetime | None
    outcome: Status | None
    error: JobError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How the telling of a job's end is going."""

    id: str
    """The `webhook-id` of every attempt."""
    event: str
    status: str
    """`pending`, `delivered` or `failed`."""
    attempts: int
    last_status: int | None
    """The HTTP status that answered the last attempt."""
    last_error: str | None
    """Why the last attempt was not answered."""
    next_attempt_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told by a signed POST that a job has ended, and how that goes."""

    url: str = field(repr=False)
    events: tuple[str, ...] = ("completed", "failed", "cancelled")
    """In which of these statuses its end is told."""
    deliveries: tuple[Delivery, ...] = ()
    """The service's to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it was at one moment. Lists and events have no params, result, attempts, webhook."""

    id: UUID
    task: str
    status: Status
    done: bool
    """Whether it has ended and never changes again."""
    params: Mapping[str, Any] | None
    """As submitted, with asterisks in the place of what is secret; None in a summary."""
    result: Any
    """What the coroutine returned, as JSON; None before the end and in a summary as well."""
    error: JobError | None
    progress: Progress | None
    labels: Mapping[str, str]
    priority: int
    attempt: int
    """The number of the current or last attempt; 0 before the first."""
    max_attempts: int
    attempts: tuple[Attempt, ...]
    timeout: float | None
    """Seconds that one attempt may take."""
    created_at: datetime
    run_at: datetime
    """When it is, or was, due."""
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    """When it may be removed; None before its end."""
    cancel_requested_at: datetime | None
    webhook: Webhook | None
    document: Mapping[str, Any] = field(repr=False, compare=False)
    """The JSON as it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What can be run."""

    name: str
    summary: str | None
    description: str | None
    params_schema: Mapping[str, Any]
    result_schema: Mapping[str, Any]
    example: Mapping[str, Any]
    """Params that work."""
    timeout: float | None
    """Seconds that one attempt may take."""
    max_attempts: int
    max_running: int | None
    """How many of its jobs run at once."""
    priority: int
    document: Mapping[str, Any] = field(repr=False, compare=False)
    """The JSON as it came."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a longer list, and where it goes on."""

    jobs: tuple[Job, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One event of a stream.

    `kind` is `status` or `done`, with `job`; `progress`, with `progress`; `log`, with `line`; or
    `reset`, with nothing: too much has happened to be told, so read the list again.
    """

    kind: str
    job_id: UUID | None = None
    job: Job | None = None
    progress: Progress | None = None
    line: LogLine | None = None


def job_of(members: Mapping[str, Any]) -> Job:
    """The job in the service's JSON, whole or a summary."""
    return Job(
        id=UUID(members["id"]),
        task=members["task"],
        status=Status(members["status"]),
        done=members["done"],
        params=members.get("params"),
        result=members.get("result"),
        error=_optional_error(members["error"]),
        progress=progress_of(members["progress"]),
        labels=members["labels"],
        priority=members["priority"],
        attempt=members["attempt"],
        max_attempts=members["max_attempts"],
        attempts=tuple(_attempt_of(attempt) for attempt in members.get("attempts", ())),
        timeout=members["timeout"],
        created_at=_time(members["created_at"]),
        run_at=_time(members["run_at"]),
        started_at=_optional_time(members["started_at"]),
        finished_at=_optional_time(members["finished_at"]),
        expires_at=_optional_time(members["expires_at"]),
        cancel_requested_at=_optional_time(members["cancel_requested_at"]),
        webhook=_webhook_of(members.get("webhook")),
        document=members,
    )


def task_of(members: Mapping[str, Any]) -> Task:
    """The task in the service's JSON."""
    names = Task.__dataclass_fields__.keys() - {"document"}
    return Task(**{name: members[name] for name in names}, document=members)


def error_of(members: Mapping[str, Any]) -> JobError:
    """The error in the service's JSON."""
    return JobError(members["type"], members["exception"], members["message"])


def progress_of(members: Mapping[str, Any] | None) -> Progress | None:
    """The progress in the service's JSON."""
    return None if members is None else Progress(members["fraction"], members["message"])


def line_of(members: Mapping[str, Any]) -> LogLine:
    """The log line in the service's JSON."""
    return LogLine(_time(members["time"]), members["message"], members["attempt"])


def event_of(kind: str, members: Mapping[str, Any]) -> JobEvent:
    """The event of this kind with this data."""
    if kind in ("status", "done"):
        job = job_of(members)
        return JobEvent(kind=kind, job_id=job.id, job=job)
    job_id = UUID(members["job"]) if members.get("job") else None
    if kind == "progress":
        return JobEvent(kind=kind, job_id=job_id, progress=progress_of(members))
    if kind == "log":
        return JobEvent(kind=kind, job_id=job_id, line=line_of(members))
    return JobEvent(kind=kind, job_id=job_id)


def delivery_of(members: Mapping[str, Any]) -> Delivery:
    """A delivery."""
    names = Delivery.__dataclass_fields__.keys()
    times = {name: _optional_time(members[name]) for name in ("next_attempt_at", "delivered_at")}
    return Delivery(**{name: members[name] for name in names} | times)


def _attempt_of(members: Mapping[str, Any]) -> Attempt:
    return Attempt(
        members["number"],
        _time(members["started_at"]),
        _optional_time(members["finished_at"]),
        None if members["outcome"] is None else Status(members["outcome"]),
        _optional_error(members["error"]),
    )


def _webhook_of(members: Mapping[str, Any] | None) -> Webhook | None:
    if members is None:
        return None
    deliveries = tuple(delivery_of(delivery) for delivery in members["deliveries"])
    return Webhook(members["url"], tuple(members["events"]), deliveries)


def _optional_error(members: Mapping[str, Any] | None) -> JobError | None:
    return None if members is None else error_of(members)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _optional_time(text: str | None) -> datetime | None:
    return None if text is None else _time(text)
