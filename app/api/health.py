"""Whether the process lives, and whether it accepts work."""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app import __version__
from app.api import describe, schemas
from app.api.describe import Answer
from app.api.requests import state_of
from app.jobs.texts import to_json

router = APIRouter(tags=["health"])

_NO_STORE: Final = {"Cache-Control": "no-store"}


@router.get(
    "/livez",
    operation_id="livez",
    summary="The process lives",
    openapi_extra=describe.OPEN,
    responses=describe.open_answers({200: Answer("It does.", schemas.Alive, ("alive",))}),
)
async def livez() -> Response:
    """Answers as long as the event loop turns; says nothing about the store."""
    return Response(b'{"status":"alive"}', 200, _NO_STORE, "application/json")


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="The service accepts work",
    openapi_extra=describe.OPEN,
    responses=describe.open_answers(
        {
            200: Answer("It accepts work.", schemas.Ready, ("ready",)),
            503: Answer(
                "It is shutting down, or its store fails; `reason` says which.",
                schemas.Ready,
                ("not-ready",),
                ("Retry-After",),
            ),
        }
    ),
)
async def readyz(request: Request) -> Response:
    """Whether submissions are accepted, and what the engine holds."""
    health = state_of(request).engine.health()
    body = {
        "status": "ready" if health.ready else "not-ready",
        "reason": health.reason,
        "version": __version__,
        "pending": health.pending,
        "running": health.running,
        "unknown_tasks": dict(health.unknown_tasks),
    }
    headers = _NO_STORE if health.ready else _NO_STORE | {"Retry-After": "1"}
    status = 200 if health.ready else 503
    return Response(to_json(body), status, headers, "application/json")
