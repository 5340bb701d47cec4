"""From a job to the bytes of an answer. Params and result are JSON already and pass as they are."""

from typing import Any
from uuid import UUID

from app.api.times import rfc3339
from app.jobs.models import Attempt, Job, JobError
from app.jobs.texts import to_json


def job_json(job: Job, *, minimal: bool = False, root: str = "") -> bytes:
    """The job; `minimal` leaves params, result and attempts out. `root` precedes its links."""
    head = {"id": str(job.id), "task": job.task, "status": job.status, "done": job.done}
    tail: dict[str, Any] = {
        "error": error_members(job.error),
        "progress": job.progress
        and {"fraction": job.progress.fraction, "message": job.progress.message},
        "labels": dict(job.labels),
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "timeout": job.timeout,
        "attempts": [_attempt_members(attempt) for attempt in job.attempts],
        "created_at": rfc3339(job.created_at),
        "run_at": rfc3339(job.run_at),
        "started_at": rfc3339(job.started_at),
        "finished_at": rfc3339(job.finished_at),
        "expires_at": rfc3339(job.expires_at),
        "cancel_requested_at": rfc3339(job.cancel_requested_at),
        "links": links_of(job, root),
    }
    if minimal:
        del tail["attempts"]
        return to_json(head | tail)
    values = (b',"params":', job.params, b',"result":', job.result or b"null", b",")
    return b"".join((to_json(head)[:-1], *values, to_json(tail)[1:]))


def links_of(job: Job, root: str = "") -> dict[str, str]:
    """Where the job is and what hangs on it."""
    self = job_path(job.id, root)
    return {"self": self, "result": f"{self}/result", "events": f"{self}/events"}


def job_path(job_id: UUID, root: str = "") -> str:
    """The path of a job."""
    return f"{root}/jobs/{job_id}"


def error_members(error: JobError | None) -> dict[str, Any] | None:
    """An error as clients see it."""
    if error is None:
        return None
    return {"type": error.type, "exception": error.exception, "message": error.message}


def _attempt_members(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started_at": rfc3339(attempt.started_at),
        "finished_at": rfc3339(attempt.finished_at),
        "outcome": attempt.outcome,
        "error": error_members(attempt.error),
    }
