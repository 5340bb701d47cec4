"""The shapes of the answers, as the OpenAPI document shows them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.jobs.models import ErrorType
from app.scheduler import Status


def _without_defaults(schema: dict[str, Any]) -> None:
    """Members that are not always there have no default: they are absent."""
    for member in schema["properties"].values():
        member.pop("default", None)


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


class Links(BaseModel):
    """Where the job is and what hangs on it."""

    self: str
    result: str


class JobSummary(BaseModel):
    """A job without its params, result and attempts."""

    id: UUID
    task: str
    status: Status
    done: Annotated[bool, Field(description="True when the job never changes again.")]
    error: Annotated[
        JobError | None,
        Field(description="Why it failed, or what the clean-up after its cancel raised."),
    ]
    progress: Progress | None
    labels: dict[str, str]
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
    """A job. With `Prefer: return=minimal` params, result and attempts are left out."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    params: Annotated[dict[str, Any], Field(description="As submitted.")] = {}
    result: Annotated[Any, Field(description="What the coroutine returned.")] = None
    attempts: Annotated[list[Attempt], Field(description="All so far, the first one first.")] = []


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
    limit: Annotated[int, Field(description="How many there may be.")] = 0


class ProblemType(BaseModel):
    """What a kind of problem means and what to do."""

    type: str
    title: str
    status: int
    meaning: str
    remedy: str


class Task(BaseModel):
    """A named coroutine function that jobs can run."""

    name: str
    summary: str
    description: str
    params_schema: Annotated[dict[str, Any], Field(description="JSON Schema of `params`.")]
    result_schema: Annotated[dict[str, Any], Field(description="JSON Schema of `result`.")]
    example: Annotated[dict[str, Any], Field(description="Params to start from.")]
    timeout: Annotated[float | None, Field(description="Seconds one attempt may take.")]
    max_attempts: Annotated[int, Field(description="How often one job may be started.")]
    max_running: Annotated[int | None, Field(description="How many of its jobs run at once.")]
    priority: Annotated[int, Field(description="Of its jobs, where a submission names none.")]


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
        dict[str, int], Field(description="Pending jobs whose task is not there, by task.")
    ]
