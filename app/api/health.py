"""Whether the process lives, and whether it accepts work."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app import __version__
from app.api import describe, schemas
from app.api.describe import Answer
from app.api.replies import Reply
from app.api.requests import state_of
from app.jobs.texts import to_json

router = APIRouter(tags=["health"])


@router.get(
    "/livez",
    operation_id="livez",
    summary="The process lives",
    openapi_extra=describe.OPEN,
    responses=describe.open_answers({200: Answer("It does.", schemas.Alive, ("alive",))}),
)
async def livez() -> Response:
    """Answers as long as the event loop turns; says nothing about the store."""
    return Reply(b'{"status":"alive"}')


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
    if health.ready:
        return Reply(to_json(body))
    return Reply(to_json(body), 503, headers={"Retry-After": "1"})
