"""The answers that are about one job."""

import math
from typing import Final

from fastapi import Request
from fastapi.responses import Response

from app.api.conditions import etag_of
from app.api.preferences import Preferences
from app.api.problems import Problem
from app.api.render import error_members, job_json
from app.api.replies import JOB, PROBLEM_OF_JOB, Reply
from app.api.requests import root_of, state_of
from app.jobs.models import Job
from app.scheduler import Status

LONGEST_RETRY: Final = 60
"""Seconds that `Retry-After` asks for at most: jobs may end sooner than their like."""


def job_answer(
    job: Job, request: Request, wanted: Preferences, status: int, **headers: str
) -> Response:
    """The job; 304 has no body."""
    body = b"" if status == 304 else job_json(job, minimal=wanted.minimal, root=root_of(request))
    headers |= headers_of(job, request, wanted)
    headers["ETag"] = etag_of(job, minimal=wanted.minimal)
    return Reply(body, status, JOB, headers)


def monitored(job: Job) -> int:
    """200 for a job that has ended, 202 for one that has not."""
    return 200 if job.status.finished else 202


def headers_of(job: Job, request: Request, wanted: Preferences) -> dict[str, str]:
    """Of every answer about one job."""
    headers = {}
    if wanted.wait or wanted.minimal:
        headers["Preference-Applied"] = wanted.applied
    if not job.status.finished:
        expected = state_of(request).engine.expected(job)
        headers["Retry-After"] = str(min(max(1, math.ceil(expected or 0)), LONGEST_RETRY))
    return headers


def no_result(job: Job, headers: dict[str, str]) -> Problem:
    """Why there is no result: not yet, or never."""
    if not job.done:
        detail = f"the job is {job.status}"
        slug, members = "job-not-finished", {}
    else:
        slug = "job-cancelled" if job.status is Status.CANCELLED else "job-failed"
        detail = "it was cancelled" if job.error is None else job.error.message
        members = {"error": error_members(job.error)}
    return Problem(slug, detail, job_id=job.id, headers=headers, constant=PROBLEM_OF_JOB, **members)
