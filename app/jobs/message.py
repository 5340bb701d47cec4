"""What webhooks tell of the end of a job."""

from typing import Any, Final

from app.jobs.models import Job
from app.jobs.texts import to_json
from app.jobs.times import rfc3339

MAX_BODY: Final = 20_000
"""Bytes that a message has at most."""


def message_of(job: Job) -> bytes:
    """What is told of a job's end: the same in every attempt; neither params, result nor texts."""
    assert job.finished_at is not None, "the job has not ended"
    path = f"/jobs/{job.id}"
    data: dict[str, Any] = {
        "id": str(job.id),
        "task": job.task,
        "status": job.status,
        "attempt": job.attempt,
        "error": None if job.error is None else {"type": job.error.type},
        "labels": dict(job.labels),
        "links": {"self": path, "result": f"{path}/result"},
    }
    message = {"type": f"job.{job.status}", "timestamp": rfc3339(job.finished_at), "data": data}
    body = to_json(message)
    if len(body) > MAX_BODY:
        data["labels"] = None
        body = to_json(message)
    return body
