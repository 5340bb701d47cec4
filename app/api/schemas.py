"""The shapes of the answers, as the OpenAPI document shows them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, RootModel

from app.api import patterns
from app.jobs.models import ErrorType
from app.jobs.webhooks import DeliveryStatus
from app.scheduler import Status


def _without_defaults(schema: dict[str, Any]) -> None:
    """Members that are not always there have no default: they are absent."""
    for member in schema["properties"].values():
        member.pop("default", None)


class Labels(RootModel[dict[str, str]]):
    """Names and values of the caller's own, kept with the job."""

    model_config = ConfigDict(
        json_schema_extra={
            "maxProperties": patterns.MAX_LABELS,
            "propertyNames": {"pattern": patterns.LABEL_NAME},
            "additionalProperties": {"type": "string", "pattern": patterns.LABEL_VALUE},
        }
    )


class Params(RootModel[dict[str, Any]]):
    """The parameters of a task, by name."""


class JsonSchema(RootModel[dict[str, Any]]):
    """A JSON Schema, draft 2020-12."""


class Counts(RootModel[dict[str, int]]):
    """How many there are, by name."""


class JobError(BaseModel):
    """Why a job or an attempt failed."""

    type: ErrorType
    exception: Annotated[str | None, Field(description="The class of what was raised.")]
    message: str


class Progress(BaseModel):
    """How far the running coroutine says it is."""

    fraction: Annotated[float | None, Field(ge=0, le=1)]
    message: str | None


class Attempt(BaseModel):
    """One run of the job."""

    number: Annotated[int, Field(ge=1)]
    started_at: datetime
    finished_at: datetime | None
    outcome: Annotated[Status | None, Field(description="Null while it runs.")]
    error: JobError | None


class Delivery(BaseModel):
    """The telling of one event."""

    id: Annotated[str, Field(description="The `webhook-id` of every attempt.")]
    event: Status
    status: DeliveryStatus
    attempts: Annotated[int, Field(ge=0, description="Those that have ended.")]
    last_status: Annotated[int | None, Field(description="The HTTP status that answered the last.")]
    last_error: Annotated[str | None, Field(description="Why the last was not answered.")]
    next_attempt_at: datetime | None
    delivered_at: datetime | None


class Webhook(BaseModel):
    """Who is told when the job has ended, and how that goes."""

    url: str
    events: list[Status]
    deliveries: list[Delivery]


class Links(BaseModel):
    """Where the job is and what hangs on it."""

    self: str
    result: str
    events: str


class JobSummary(BaseModel):
    """A job without its params, result, attempts and webhook."""

    id: UUID
    task: str
    status: Status
    done: Annotated[bool, Field(description="True when the job never changes again.")]
    error: Annotated[
        JobError | None,
        Field(description="Why it failed, or what the clean-up after its cancel raised."),
    ]
    progress: Progress | None
    labels: Labels
    priority: int
    attempt: Annotated[int, Field(ge=0, description="0 before the first start.")]
    max_attempts: Annotated[int, Field(ge=1)]
    timeout: Annotated[float | None, Field(description="Seconds that one attempt may take.")]
    created_at: datetime
    run_at: Annotated[datetime, Field(description="When it is or was due.")]
    started_at: Annotated[datetime | None, Field(description="Of the current attempt.")]
    finished_at: datetime | None
    expires_at: Annotated[datetime | None, Field(description="When it may be removed.")]
    cancel_requested_at: datetime | None
    links: Links


class Job(JobSummary):
    """A job. With `Prefer: return=minimal` params, result, attempts and webhook are left out."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    params: Annotated[Params, Field(description="As submitted.")] = Params({})
    result: Annotated[Any, Field(description="What the coroutine returned.")] = None
    attempts: Annotated[list[Attempt], Field(description="All so far, the first one first.")] = []
    webhook: Annotated[Webhook | None, Field(description="Who is told when it has ended.")] = None


class JobPage(BaseModel):
    """A page of jobs."""

    items: list[JobSummary]
    next: Annotated[str | None, Field(description="The `cursor` of the next page.")]


class ParamError(BaseModel):
    """One thing that is wrong with a submission."""

    pointer: Annotated[str, Field(description="A JSON pointer into what was sent.")]
    detail: str
    code: str


class Problem(BaseModel):
    """An error, after RFC 9457. The members after `instance` are there where they apply."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_without_defaults)

    type: Annotated[str, Field(description="The path of a page that explains the problem.")]
    title: str
    status: int
    detail: Annotated[str, Field(description="What happened this time.")]
    instance: Annotated[str, Field(description="The path of the request.")]
    job: Annotated[str, Field(description="The path of the job.")] = ""
    error: Annotated[JobError | None, Field(description="Why the job failed.")] = None
    errors: Annotated[list[ParamError], Field(description="All that is wrong.")] = []
    close: Annotated[list[str], Field(description="Names of tasks that come near.")] = []
    depth: Annotated[int, Field(description="How many jobs are pending.")] = 0
    size: Annotated[int, Field(description="How many bytes the store holds.")] = 0
    limit: Annotated[float, Field(description="How many there may be.")] = 0


class ProblemType(BaseModel):
    """What a kind of problem means and what to do."""

    type: str
    title: str
    status: int
    meaning: str
    remedy: str


class Durations(BaseModel):
    """The seconds that half, nine in ten and 99 in a hundred attempts stayed below."""

    p50: float
    p90: float
    p99: float


class TaskFigures(BaseModel):
    """How many jobs of a task there are, and how long its last completed ones ran."""

    jobs: Annotated[Counts, Field(description="By status.")]
    durations: Durations | None


class Period(BaseModel):
    """The jobs that ended within one period."""

    start: datetime
    ended: Annotated[Counts, Field(description="By status.")]
    durations: Durations | None


class Slots(BaseModel):
    """How many jobs run, and how many may."""

    taken: int
    limit: int


class Stats(BaseModel):
    """The service at a glance."""

    engine: str
    workers: int
    since: Annotated[datetime, Field(description="Since when ends are counted.")]
    jobs: Annotated[Counts, Field(description="By status.")]
    slots: Slots
    oldest_pending: Annotated[
        datetime | None, Field(description="When the pending job submitted first was.")
    ]
    loop_lag: Annotated[float, Field(description="Seconds the event loop was last late by.")]
    loop_blocked: Annotated[
        int, Field(description="How often a job or request blocked the event loop for a second.")
    ]
    loop_blocked_seconds: Annotated[float, Field(description="For how long in all.")]
    minutes: Annotated[list[Period], Field(description="Of the last hour, oldest first.")]
    quarter_hours: Annotated[list[Period], Field(description="Of the last day, oldest first.")]


class LogLine(BaseModel):
    """One line that a coroutine wrote."""

    time: datetime
    message: str
    attempt: int


class Logs(BaseModel):
    """The last lines that a job's coroutine wrote."""

    items: list[LogLine]


class StackFrame(BaseModel):
    """One function of the chain of awaits."""

    function: str
    file: Annotated[str, Field(description="Relative to its package.")]
    line: int


class Stack(BaseModel):
    """Where a running coroutine awaits, outermost first."""

    frames: list[StackFrame]


class Task(BaseModel):
    """A named coroutine function that jobs can run."""

    name: str
    summary: str
    description: str
    params_schema: Annotated[JsonSchema, Field(description="Of `params`.")]
    result_schema: Annotated[JsonSchema, Field(description="Of `result`.")]
    example: Annotated[Params, Field(description="To start from.")]
    timeout: Annotated[float | None, Field(description="Seconds one attempt may take.")]
    max_attempts: Annotated[int, Field(description="How often one job may be started.")]
    max_running: Annotated[int | None, Field(description="How many of its jobs run at once.")]
    priority: Annotated[int, Field(description="Of its jobs, where a submission names none.")]
    figures: TaskFigures


class TaskList(BaseModel):
    """Every task."""

    items: list[Task]


class Alive(BaseModel):
    """The process lives."""

    status: str


class Ready(BaseModel):
    """Whether the service accepts work."""

    status: Annotated[str, Field(description="`ready` or `not-ready`.")]
    reason: Annotated[str | None, Field(description="Why it is not ready.")]
    version: str
    pending: int
    running: int
    unknown_tasks: Annotated[
        Counts, Field(description="Pending jobs whose task is not there, by task.")
    ]
