"""What each call of the client does, as requests and answers; both clients run these."""

import math
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from app.client.errors import (
    Forbidden,
    JobCancelled,
    JobChanged,
    JobNotFinished,
    Unreachable,
)
from app.client.options import Filters, Options, submission
from app.client.records import (
    Delivery,
    Job,
    LogLine,
    Page,
    Progress,
    Task,
    delivery_of,
    job_of,
    line_of,
    task_of,
)
from app.client.wire import MAX_WAIT, SUMMARY, Pause, Request, Steps, ask, job_path, target
from app.scheduler import Status, TaskNotFinished

MAX_PAGE = 500
"""Jobs that the service lists at once."""

_TOO_SOON = 0.5
"""Seconds that an answer has at least been held back for, if waiting was possible."""


def submit(options: Options | None, **members: Any) -> Steps[UUID]:
    """Submit a job; gives its id."""
    answer = yield from ask(submission(options, **members))
    return answer.read(lambda members: UUID(members["id"]))


def details(job_id: UUID) -> Steps[Job]:
    """The whole job."""
    answer = yield from ask(Request("GET", job_path(job_id)))
    return answer.read(job_of)


def status(job_id: UUID) -> Steps[Status]:
    """Where the job stands."""
    return (yield from _summary(job_id))[0].status


def progress(job_id: UUID) -> Steps[Progress | None]:
    """How far its coroutine says it is."""
    return (yield from _summary(job_id))[0].progress


def logs(job_id: UUID) -> Steps[list[LogLine]]:
    """What its coroutine wrote last."""
    answer = yield from ask(Request("GET", f"{job_path(job_id)}/logs"))
    return answer.read(lambda members: [line_of(line) for line in members["items"]])


def result(job_id: UUID) -> Steps[Any]:
    """The result as it stands now."""
    try:
        return (yield from _result(job_id, wait=0, within=None))
    except JobNotFinished as problem:
        raise TaskNotFinished(str(job_id), _status_in(problem)) from problem


def wait(job_id: UUID, timeout: float | None) -> Steps[Any]:
    """The result once there is one."""
    end = math.inf if timeout is None else time.monotonic() + timeout
    known = "not known to have finished"
    # The first look takes the time that it takes: a job that has finished is never too late.
    left = 0.0 if timeout is not None and timeout < 1 else end - time.monotonic()
    while True:
        asked = time.monotonic()
        try:
            return (yield from _result(job_id, wait=_whole(left), within=left or None))
        except JobNotFinished as problem:
            known, pause = _status_in(problem), problem.retry_after or 1.0
        except Unreachable as error:
            if time.monotonic() < end - _TOO_SOON:
                raise
            raise _out_of_time(job_id, known, timeout) from error
        if time.monotonic() >= end:
            raise _out_of_time(job_id, known, timeout)
        if left and time.monotonic() - asked < _TOO_SOON:  # it lets nobody wait
            yield Pause(min(pause, end - time.monotonic()))
        left = end - time.monotonic()


def cancel(job_id: UUID) -> Steps[bool]:
    """Ask the job to stop; True if this call newly asked."""
    unheard = False
    while True:
        try:
            job, tag = yield from _summary(job_id)
        except Forbidden:  # the key may cancel, but not look
            answer = yield from ask(Request("DELETE", job_path(job_id), SUMMARY))
            return answer.read(job_of).cancel_requested_at is not None
        if job.done or job.cancel_requested_at is not None:
            # Said by an earlier attempt of our own, whose answer was lost?
            return unheard and job.cancel_requested_at is not None
        try:
            yield from ask(Request("DELETE", job_path(job_id), SUMMARY | {"If-Match": tag}))
        except JobChanged as problem:
            unheard = problem.repeated
        else:
            return True


def redeliver(job_id: UUID) -> Steps[Delivery]:
    """Have the job's end told once more."""
    answer = yield from ask(Request("POST", f"{job_path(job_id)}/deliveries"))
    return answer.read(delivery_of)


def page(filters: Filters, limit: int, cursor: str | None) -> Steps[Page]:
    """Some of the jobs there are, newest first."""
    query = [*filters.query(), ("limit", str(min(limit, MAX_PAGE)))]
    if cursor is not None:
        query.append(("cursor", cursor))
    answer = yield from ask(Request("GET", target("/jobs", query)))
    return answer.read(_page_of)


def tasks() -> Steps[list[Task]]:
    """What can be run."""
    answer = yield from ask(Request("GET", "/tasks"))
    return answer.read(lambda members: [task_of(task) for task in members["items"]])


def _summary(job_id: UUID) -> Steps[tuple[Job, str]]:
    """The job without its large parts, and the tag of this state of it."""
    answer = yield from ask(Request("GET", job_path(job_id), SUMMARY))
    return answer.read(job_of), answer.headers.get("etag", "*")


def _result(job_id: UUID, *, wait: int, within: float | None) -> Steps[Any]:
    headers = {"Prefer": f"wait={wait}"} if wait else {}
    where = f"{job_path(job_id)}/result"
    try:
        answer = yield from ask(Request("GET", where, headers, wait=wait, within=within))
    except JobCancelled:
        return None
    return answer.read(lambda value: value)


def _whole(left: float) -> int:
    """Seconds to ask the service to wait; it counts in whole ones, and the last is cut short."""
    return max(math.floor(min(left, MAX_WAIT)), 1 if left > 0 else 0)


def _out_of_time(job_id: UUID, status: str, timeout: float | None) -> TimeoutError:
    return TimeoutError(f"job {job_id} is {status} after {timeout} s")


def _status_in(problem: JobNotFinished) -> str:
    return problem.problem.headers.get("job-status", "not finished")


def _page_of(members: Mapping[str, Any]) -> Page:
    return Page(tuple(job_of(job) for job in members["items"]), members["next"])
