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
    NoBackup,
    QueueFull,
    ServiceError,
    ShuttingDown,
    StoreFull,
    StoreUnavailable,
    UnknownTask,
    VersionMismatch,
    WorkerSilent,
)
from app.log_context import request_id

log = logging.getLogger(__name__)

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def _no_members(_: Any) -> dict[str, Any]:
    return {}


def _job(error: KeyReused | VersionMismatch | WorkerSilent) -> dict[str, Any]:
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
    NoBackup: ("no-backup", _no_members),
    WorkerSilent: ("worker-silent", _job),
}


def answer_to(request: Request, error: Exception) -> Response:
    """The problem that an error is, whether a route raised it or the framework; or a defect's."""
    match error:
        case Problem():
            return problem_response(error, request)
        case JobsError() if type(error) in _TABLE:
            return problem_response(_problem_of(error), request)
        case HTTPException(status_code=404):
            detail = f"{request.method} {request.scope['path']} leads nowhere"
            return problem_response(Problem("not-found", detail), request)
        case HTTPException(status_code=405):
            detail = f"{request.method} is not allowed here"
            headers = {"Allow": ", ".join(_allowed(request))}
            return problem_response(Problem("method-not-allowed", detail, headers=headers), request)
        case _:
            return _on_defect(request, error)


def add_error_handlers(app: FastAPI) -> None:
    """Make every error a problem, the framework's own and defects included."""
    for kind in (Problem, JobsError, HTTPException):
        app.add_exception_handler(kind, _on_error)
    app.add_middleware(EveryAnswer, on_defect=_on_defect)


def refusal(problem: Problem, scope: Scope) -> ASGIApp:
    """What answers a request that reaches no route."""
    return EveryAnswer(problem_response(problem, Request(scope)), _on_defect)


def _problem_of(error: JobsError) -> Problem:
    slug, members = _TABLE[type(error)]
    headers = {}
    if isinstance(error, ServiceError):
        headers["Retry-After"] = str(error.retry_after)
    return Problem(slug, str(error), headers=headers, **members(error))


async def _on_error(request: Request, error: Exception) -> Response:
    return answer_to(request, error)


def _on_defect(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    headers = {"X-Request-ID": request_id(request.scope)}
    detail = "the server could not answer; its log says why"
    problem = Problem("internal-error", detail, headers=headers)
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
