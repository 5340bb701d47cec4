"""What was told of a job's end, or could not be, is told once more."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api import describe, schemas
from app.api.describe import Answer
from app.api.problems import Problem
from app.api.render import delivery_members
from app.api.replies import Reply
from app.api.requests import require_known_query, state_of
from app.api.security import caller_of, job_seen_by
from app.jobs.errors import JobExpired
from app.jobs.models import Job
from app.jobs.texts import to_json
from app.keys import READ

router = APIRouter(tags=["jobs"])


@router.post(
    "/jobs/{job_id}/deliveries",
    operation_id="redeliver",
    summary="Tell the end of a job once more",
    status_code=202,
    responses=describe.answers(
        {202: Answer("It will be told at once.", schemas.Delivery, ("delivery",))},
        "invalid-parameter",
        "no-delivery",
        "job-not-found",
        "job-expired",
        "rate-limited",
        "store-unavailable",
    ),
)
async def redeliver(job_id: describe.JobId, request: Request) -> Response:
    """Have the job's webhook told its end again, whether that was delivered, has failed or waits.

    It is the same event with the same `webhook-id`: a receiver that has done what it asks for does
    nothing. The attempt is made at once; if it fails, those that were left are made after it.
    """
    caller = caller_of(request, READ)  # for the answer tells what became of the attempts
    caller.require_submit()
    job = await job_seen_by(caller, job_id, request)
    caller.require_task(job.task)
    require_known_query(request)
    state = state_of(request)
    state.rates.take(caller.owner)
    if state.receiver_of is None:
        detail = "this server sends no webhooks until AWAITD_WEBHOOK_SECRET is set"
        raise Problem("no-delivery", detail, job_id=job.id)
    if not await state.engine.deliveries.redeliver(job.id):
        raise Problem("no-delivery", _why_none(job), job_id=job.id)
    caller.audit("delivery", job, request)
    job = await state.engine.get(job.id)
    for delivery in job.deliveries:
        return Reply(to_json(delivery_members(job, delivery)), 202)
    raise JobExpired(job.id)  # meanwhile


def _why_none(job: Job) -> str:
    if job.webhook is None:
        return "the job has no webhook"
    if not job.done:
        return "the job has not ended"
    return f"its webhook is not for jobs that are {job.status}"
