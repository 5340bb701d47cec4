"""What can be seen of a job from inside: where it awaits, and what it wrote."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api import describe, schemas
from app.api.describe import Answer
from app.api.problems import Problem
from app.api.render import job_path
from app.api.replies import Reply
from app.api.requests import require_known_query, root_of, state_of
from app.api.security import job_in_path
from app.jobs.texts import to_json
from app.jobs.times import rfc3339
from app.keys import ADMIN
from app.scheduler import Status

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/{job_id}/stack",
    operation_id="get_stack",
    summary="Where a running job awaits",
    responses=describe.answers(
        {200: Answer("The chain of awaits, outermost first.", schemas.Stack, ("stack",))},
        "invalid-parameter",
        "job-not-running",
        "job-not-found",
        "job-expired",
        "store-unavailable",
        "worker-silent",
    ),
)
async def get_stack(job_id: describe.JobId, request: Request) -> Response:
    """Where the coroutine is suspended right now, through everything that it awaits."""
    job = await job_in_path(request, job_id, ADMIN)
    require_known_query(request)
    seen = await state_of(request).engine.inspect(job.id)
    if seen.frames is None:
        where = job_path(seen.job.id, root_of(request))
        detail = f"the job is {seen.job.status}"
        if seen.job.status is Status.RUNNING:
            detail = "its coroutine is about to begin, or has ended and is being written down"
        raise Problem("job-not-running", detail, job=where)
    frames = [{"function": f.function, "file": f.file, "line": f.line} for f in seen.frames]
    return Reply(to_json({"frames": frames}))


@router.get(
    "/jobs/{job_id}/logs",
    operation_id="get_logs",
    summary="What a job wrote",
    responses=describe.answers(
        {200: Answer("The last lines, oldest first.", schemas.Logs, ("logs",))},
        "invalid-parameter",
        "job-not-found",
        "job-expired",
        "store-unavailable",
    ),
)
async def get_logs(job_id: describe.JobId, request: Request) -> Response:
    """The last lines that the coroutine wrote with `job.log`, over all its attempts."""
    job = await job_in_path(request, job_id)
    require_known_query(request)
    seen = await state_of(request).engine.inspect(job.id, frames=False)
    items = [
        {"time": rfc3339(line.time), "message": line.message, "attempt": line.attempt}
        for line in seen.lines
    ]
    return Reply(to_json({"items": items}))
