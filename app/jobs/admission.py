"""From a submission to a job: what every engine checks before it accepts one."""

from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from app.jobs.errors import InvalidParams, ParamError
from app.jobs.ids import created_at
from app.jobs.models import Attempt, Job, Json, Millis, NewJob
from app.jobs.registry import Task
from app.jobs.secrets import gaps, merged, pointer_of
from app.scheduler.states import PENDING, START, after

MAX_DELAY: Final = 10 * 366 * 86_400.0
"""Seconds that the start of a job can be put off: ten years."""

_BEGUN: Final = after(PENDING, START)

_GONE: Final = (
    "is secret: a copy has it only for the same task and owner, and until that job has ended; "
    "send all params again"
)


def complete(new: NewJob, source: Job | None) -> NewJob:
    """The submission with the task and params of `source`, the job that it copies if it does.

    Raises `InvalidParams`, also when there are secrets that the copy may not have.
    """
    if source is None:
        if not new.task:
            raise InvalidParams([ParamError("/task", "Field required", "missing")])
        return new
    params = _params_of(source, new) if new.params is None else new.params
    return replace(new, task=new.task or source.task, params=params)


class Admission(Struct, frozen=True):
    """A submission that can be accepted."""

    new: NewJob
    task: Task
    params: Json
    """With asterisks in the place of what is secret."""
    secrets: Json | None
    arguments: dict[str, Any]
    """The coroutine's keyword arguments, for one attempt: it may change what they hold."""

    def run_at(self, job_id: UUID, now: Millis) -> Millis:
        """When the job is due. What is due at once is due when it was created.

        `now` is the clock's, for an id may be ahead of a clock that was set back.
        """
        new, now = self.new, min(now, created_at(job_id))
        if new.run_at is not None:
            return max(now, new.run_at)  # a time in the past is now, so that it jumps no queue
        return now if not new.delay else now + _millis(new.delay)

    def job(
        self, job_id: UUID, version: int, run_at: Millis, started_at: Millis | None = None
    ) -> Job:
        """The job that it makes: pending, or begun at once with its first attempt."""
        new, task = self.new, self.task
        pending = started_at is None
        return Job(
            id=job_id,
            task=task.name,
            status=PENDING if pending else _BEGUN,
            version=version,
            params=self.params,
            secrets=self.secrets,
            labels=new.labels,
            priority=int(task.options.priority if new.priority is None else new.priority),
            timeout=_timeout(new, task),
            attempt=0 if pending else 1,
            max_attempts=task.max_attempts,
            attempts=() if started_at is None else (Attempt(1, started_at),),
            run_at=run_at,
            start_by=None if new.start_within is None else run_at + _millis(new.start_within),
            started_at=started_at,
            owner=new.owner,
            traceparent=new.traceparent,
            webhook=new.webhook,
        )


def admit(new: NewJob, task: Task) -> Admission:
    """Check a submission; raises `InvalidParams` with pointers."""
    errors, params = _errors_of(new, task), new.params or b"{}"
    arguments = {}
    try:
        arguments = task.params.parse(params)
    except InvalidParams as invalid:
        errors += invalid.errors
    if errors:
        raise InvalidParams(errors)
    secrets = None
    if task.params.secrets is not None:
        params, secrets = task.params.secrets.split(params)
    return Admission(new, task, params, secrets, arguments)


def _params_of(source: Job, new: NewJob) -> Json:
    is_alike = new.owner == source.owner and new.task in ("", source.task)
    if source.secrets is not None and is_alike:
        return merged(source.params, source.secrets)
    if missing := gaps(source.params):
        pointers = [pointer_of(("params", *path)) for path in missing]
        raise InvalidParams([ParamError(pointer, _GONE, "secret_gone") for pointer in pointers])
    return source.params


def _errors_of(new: NewJob, task: Task) -> list[ParamError]:
    errors = []
    limit = task.options.timeout
    if new.timeout is not None and limit is not None and new.timeout > limit:
        detail = f"is above the task's limit of {limit:g} s"
        errors.append(ParamError("/timeout", detail, "above_task_limit"))
    if new.delay is not None and new.run_at is not None:
        errors.append(ParamError("/run_at", "give delay or run_at, not both", "conflict"))
    return errors


def _timeout(new: NewJob, task: Task) -> float | None:
    timeout = task.options.timeout if new.timeout is None else new.timeout
    return None if timeout is None else float(timeout)


def _millis(seconds: float) -> Millis:
    return round(seconds * 1000)
