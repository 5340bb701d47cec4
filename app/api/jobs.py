"""Jobs: submit, read, list and cancel."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from msgspec.structs import replace

from app.api import describe, schemas
from app.api.body import read_json_object
from app.api.conditions import is_known, tags_known, version_required
from app.api.describe import Answer
from app.api.filters import REPEATABLE
from app.api.job_answers import headers_of, job_answer, monitored, no_result
from app.api.pages import link_to_next, page_json, query_of
from app.api.render import job_path
from app.api.replies import EMPTY, JOB, Reply
from app.api.requests import (
    flag,
    preferences,
    require_known_query,
    root_of,
    state_of,
    waited_for,
)
from app.api.security import Caller, caller_of, job_in_path, job_seen_by, require_seen
from app.api.submission import addressed, new_job
from app.jobs.models import NewJob
from app.keys import CANCEL, READ, SUBMIT

router = APIRouter(tags=["jobs"])


@router.post(
    "/jobs",
    operation_id="submit_job",
    summary="Submit a job",
    status_code=202,
    responses=describe.with_job_links(
        describe.answers(
            {
                202: Answer(
                    "The job is accepted and durable; it has not finished yet.",
                    schemas.Job,
                    ("running", "pending"),
                    ("Location", "Retry-After", *describe.OF_JOB, "Idempotent-Replayed"),
                ),
                200: Answer(
                    "The job has finished: it was waited for, or its key was known.",
                    schemas.Job,
                    ("completed", "failed"),
                    ("Location", *describe.OF_JOB, "Idempotent-Replayed"),
                ),
                204: Answer("With `validate_only=true`: it would be accepted."),
            },
            "invalid-json",
            "invalid-idempotency-key",
            "invalid-parameter",
            "payload-too-large",
            "unsupported-media-type",
            "job-not-found",
            "job-expired",
            "unknown-task",
            "invalid-params",
            "idempotency-key-reused",
            "queue-full",
            "rate-limited",
            "too-many-waiters",
            "store-full",
            "shutting-down",
            "store-unavailable",
        ),
        202,
    ),
    openapi_extra=describe.parameters("validate_only", "idempotency_key", "prefer", "traceparent"),
)
async def submit_job(request: Request) -> Response:
    """Run a task in the background.

    The job is durable before the answer leaves. The answer is 202 while it has not finished, and
    200 when it has: it was waited for with `Prefer: wait=n`, or its key was known. With
    `validate_only=true` nothing is created, and the answer is 204 or what is wrong.
    """
    caller = caller_of(request)
    caller.require_submit()
    require_known_query(request, "validate_only")
    state = state_of(request)
    wanted = caller.shown(preferences(request))
    dry = flag(request, "validate_only")
    body, parsed = await read_json_object(request, state.limits.max_body_size)
    new = new_job(body, parsed, request, caller)
    has_key = new.idempotency_key is not None
    submitted = await state.engine.replay(new) if has_key and not dry else None
    if submitted is None:
        state.rates.take(caller.owner)
        await _require_tasks(new, caller, request)
        new = addressed(new, request)
        if dry:
            await state.engine.check(new)
            return Reply(b"", 204, EMPTY)
        submitted = await state.engine.submit(new)
        caller.audit("submit", submitted.job, request)
    job = await waited_for(submitted.job, request, wanted.wait)
    headers = {"Location": job_path(job.id, root_of(request))}
    if submitted.replayed:
        headers["Idempotent-Replayed"] = "true"
    return job_answer(job, request, wanted, monitored(job), **headers)


@router.get(
    "/jobs",
    operation_id="list_jobs",
    summary="List jobs, newest first",
    responses=describe.answers(
        {
            200: Answer(
                "Summaries: without params, result, attempts and webhook.",
                schemas.JobPage,
                ("page",),
                ("Link",),
            )
        },
        "invalid-parameter",
        "invalid-cursor",
        "store-unavailable",
    ),
    openapi_extra=describe.parameters(
        *REPEATABLE, "created_after", "created_before", "limit", "cursor"
    ),
)
async def list_jobs(request: Request) -> Response:
    """The jobs there are, in pages that stay as they are while further jobs arrive.

    The same filter repeated means any of its values; different filters, and several labels, have
    to fit all. A rare combination may give a short page whose `next` goes on.
    """
    caller = caller_of(request, READ)
    query = replace(query_of(request), owner=caller.sees)
    page = await state_of(request).engine.list(query)
    require_seen(caller, page.items, request)
    headers = link_to_next(page, query.limit, request)
    return Reply(page_json(page, root_of(request)), 200, JOB, headers)


@router.get(
    "/jobs/{job_id}",
    operation_id="get_job",
    summary="A job",
    responses=describe.answers(
        {
            200: Answer(
                "The job, whatever its status.",
                schemas.Job,
                ("running", "completed", "failed", "cancelled"),
                ("Retry-After", *describe.OF_JOB),
            ),
            304: Answer("It has not changed.", headers=("Retry-After", *describe.OF_JOB)),
        },
        "invalid-parameter",
        "too-many-waiters",
        "job-not-found",
        "job-expired",
        "store-unavailable",
    ),
    openapi_extra=describe.parameters("prefer", "if_none_match"),
)
async def get_job(job_id: describe.JobId, request: Request) -> Response:
    """The job's status, params, result, error and progress. Poll it until `done`.

    With `Prefer: wait=n` the answer comes when the job has finished; with `If-None-Match` as
    well, when it has changed, else 304 after that time.
    """
    job = await job_in_path(request, job_id)
    require_known_query(request)
    wanted = preferences(request)
    tags = tags_known(request)
    if tags is None:
        job = await waited_for(job, request, wanted.wait)
        return job_answer(job, request, wanted, 200)
    if is_known(job, tags, minimal=wanted.minimal):  # else it has changed already
        job = await waited_for(job, request, wanted.wait, since=job.version)
    known = is_known(job, tags, minimal=wanted.minimal)
    return job_answer(job, request, wanted, 304 if known else 200)


@router.get(
    "/jobs/{job_id}/result",
    operation_id="get_result",
    summary="A job's result",
    responses=describe.answers(
        {
            200: Answer(
                "What the coroutine returned, as bare JSON.",
                samples=("result",),
                headers=("Job-Status", "Preference-Applied"),
            )
        },
        "invalid-parameter",
        "too-many-waiters",
        "job-not-finished",
        "job-failed",
        "job-cancelled",
        "job-not-found",
        "job-expired",
        "store-unavailable",
    ),
    openapi_extra=describe.parameters("prefer_wait"),
)
async def get_result(job_id: describe.JobId, request: Request) -> Response:
    """The coroutine's return value, as its task's result schema says.

    409 is not yet, 424 is never.
    """
    job = await job_in_path(request, job_id)
    require_known_query(request)
    wanted = replace(preferences(request), minimal=False)
    job = await waited_for(job, request, wanted.wait)
    headers = headers_of(job, request, wanted) | {"Job-Status": job.status}
    if job.result is None:
        raise no_result(job, headers)
    return Reply(job.result, 200, JOB, headers)


@router.delete(
    "/jobs/{job_id}",
    operation_id="cancel_job",
    summary="Cancel a job",
    responses=describe.answers(
        {
            200: Answer(
                "The job has ended, by this request or before it.",
                schemas.Job,
                ("cancelled", "completed"),
                describe.OF_JOB,
            ),
            202: Answer(
                "The cancel is on record; the coroutine has not ended yet.",
                schemas.Job,
                ("stopping",),
                ("Retry-After", *describe.OF_JOB),
            ),
        },
        "invalid-parameter",
        "too-many-waiters",
        "precondition-failed",
        "job-not-found",
        "job-expired",
        "store-unavailable",
    ),
    openapi_extra=describe.parameters("prefer", "if_match"),
)
async def cancel_job(job_id: describe.JobId, request: Request) -> Response:
    """This job must not keep running; its record stays.

    A pending job is cancelled at once and never starts. In a running one `CancelledError` is
    raised where its coroutine awaits, and it is cancelled when that has really ended.
    """
    caller = caller_of(request, CANCEL)
    job = await job_seen_by(caller, job_id, request)
    require_known_query(request)
    wanted = caller.shown(preferences(request))
    job = await state_of(request).engine.cancel(job.id, if_version=version_required(job, request))
    caller.audit("cancel", job, request)
    job = await waited_for(job, request, wanted.wait)
    return job_answer(job, request, wanted, monitored(job))


async def _require_tasks(new: NewJob, caller: Caller, request: Request) -> None:
    """Raise `Problem` unless the caller may submit this task, and that of the job it copies."""
    if new.task:
        caller.require_task(new.task)
    if new.copy_of is not None and (caller.key is None or not caller.allows(SUBMIT)):
        source = await state_of(request).engine.get(new.copy_of, owner=caller.sees)
        require_seen(caller, (source,), request)
        caller.require_task(source.task)
