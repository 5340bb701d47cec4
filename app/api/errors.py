"""From an error to a problem: the one table of both."""

import logging
from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Scope

from app.api.middleware import EveryAnswer
from app.api.problems import Problem, problem_response
from app.jobs.errors import (
    InvalidParams,
    JobExpired,
    JobNotFound,
    JobsError,
    KeyReused,
    QueueFull,
    ServiceError,
    ShuttingDown,
    StoreFull,
    StoreUnavailable,
    UnknownTask,
    VersionMismatch,
)

log = logging.getLogger(__name__)

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def _no_members(_: Any) -> dict[str, Any]:
    return {}


def _job(error: KeyReused | VersionMismatch) -> dict[str, Any]:
    return {"job_id": error.job_id}


def _param_errors(error: InvalidParams) -> dict[str, Any]:
    errors = [{"pointer": e.pointer, "detail": e.detail, "code": e.code} for e in error.errors]
    return {"errors": errors}


_TABLE: Final[dict[type[JobsError], tuple[str, Callable[[Any], dict[str, Any]]]]] = {
    UnknownTask: ("unknown-task", lambda error: {"close": list(error.close)}),
    InvalidParams: ("invalid-params", _param_errors),
    JobNotFound: ("job-not-found", _no_members),
    JobExpired: ("job-expired", _no_members),
    KeyReused: ("idempotency-key-reused", _job),
    VersionMismatch: ("precondition-failed", _job),
    QueueFull: ("queue-full", lambda error: {"depth": error.depth, "limit": error.limit}),
    StoreFull: ("store-full", lambda error: {"size": error.size, "limit": error.limit}),
    ShuttingDown: ("shutting-down", _no_members),
    StoreUnavailable: ("store-unavailable", _no_members),
}


def problem_of(error: JobsError) -> Problem:
    """The problem that an error of the jobs floor is over HTTP."""
    slug, members = _TABLE[type(error)]
    headers = {}
    if isinstance(error, ServiceError):
        headers["Retry-After"] = str(error.retry_after)
    return Problem(slug, str(error), headers=headers, **members(error))


def add_error_handlers(app: FastAPI) -> None:
    """Make every error a problem, the framework's own and defects included."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(JobsError, _on_jobs_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_middleware(EveryAnswer, on_defect=_on_defect)


def refusal(problem: Problem, scope: Scope) -> ASGIApp:
    """What answers a request that reaches no route."""
    return EveryAnswer(problem_response(problem, Request(scope)), _on_defect)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error, request)


async def _on_jobs_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, JobsError)
    return problem_response(problem_of(error), request)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """404 and 405, which the router raises; any other would be a defect."""
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            detail = f"{request.method} {request.scope['path']} leads nowhere"
            return problem_response(Problem("not-found", detail), request)
        case 405:
            detail = f"{request.method} is not allowed here"
            headers = {"Allow": ", ".join(_allowed(request))}
            return problem_response(Problem("method-not-allowed", detail, headers=headers), request)
        case _:
            return _on_defect(request, error)


def _on_defect(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    problem = Problem("internal-error", "the server could not answer; its log says why")
    return problem_response(problem, request)


def _allowed(request: Request) -> list[str]:
    """The methods of every route of the path: the router names those of the first one only."""
    routes = request.app.routes
    allowed = [
        method
        for method in _METHODS
        if any(r.matches({**request.scope, "method": method})[0] is Match.FULL for r in routes)
    ]
    return allowed + ["HEAD"] * ("GET" in allowed)
