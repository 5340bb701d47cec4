"""The figures for Prometheus."""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api import describe
from app.api.requests import state_of
from app.api.security import caller_of
from app.keys import ADMIN

router = APIRouter(tags=["health"])

_HEADERS: Final = {
    "Cache-Control": "no-store",
    # Of the format that every version of Prometheus reads.
    "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
}


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="The figures for Prometheus",
    response_class=Response,
    responses=describe.metrics("store-unavailable"),
)
async def get_metrics(request: Request) -> Response:
    """Jobs, how long they waited and ran, commits, answers, and how late the event loop is."""
    caller_of(request, ADMIN)
    state = state_of(request)
    figures, deliveries = await state.engine.figures(), await state.engine.deliveries.figures()
    body = state.metrics_of(figures, deliveries, state.traffic.answers)
    return Response(body, 200, _HEADERS)
