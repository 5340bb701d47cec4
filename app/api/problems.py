"""Problems over HTTP (RFC 9457): how a route raises one, its answer, and its page."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api import describe, schemas
from app.api.describe import Answer
from app.api.problem_types import PROBLEMS
from app.api.render import job_path
from app.api.replies import PROBLEM, Constant, Reply
from app.jobs.texts import clipped, to_json


class Problem(Exception):
    """Raised by a route: the problem, what happened this time, and members of its own."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        job_id: UUID | None = None,
        headers: Mapping[str, str] | None = None,
        constant: Constant = PROBLEM,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.type = PROBLEMS[slug]
        self.detail = detail
        self.job_id = job_id
        self.headers = dict(headers or {})
        self.constant = constant
        self.members = members


def problem_response(problem: Problem, request: Request) -> Response:
    """The answer of a problem."""
    kind, root = problem.type, request.scope.get("root_path", "")
    body = {
        "type": root + kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": clipped(problem.detail),
        # Not `request.url`: that is made of the Host header, which may hold anything.
        "instance": quote(request.scope["path"], safe="/:@!$&'()*+,;="),
    }
    if problem.job_id is not None:
        body["job"] = job_path(problem.job_id, root)
    body |= problem.members
    return Reply(to_json(body), kind.status, problem.constant, problem.headers)


router = APIRouter(tags=["problems"])


@router.get(
    "/problems/{slug}",
    operation_id="get_problem",
    summary="What a problem means and what to do",
    openapi_extra=describe.OPEN,
    responses=describe.open_answers(
        {200: Answer("The kind of problem.", schemas.ProblemType, ("problem-type",))}, "not-found"
    ),
)
async def get_problem(slug: describe.ProblemSlug, request: Request) -> Response:
    """The page behind the `type` of a problem."""
    kind = PROBLEMS.get(slug)
    if kind is None:
        raise Problem("not-found", "there is no such problem; GET /openapi.json has them all")
    page = {
        "type": request.scope.get("root_path", "") + kind.uri,
        "title": kind.title,
        "status": kind.status,
        "meaning": kind.meaning,
        "remedy": kind.remedy,
    }
    return Reply(to_json(page))
