"""The figures: what the dashboard draws."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api import describe, schemas
from app.api.describe import Answer
from app.api.replies import Reply
from app.api.requests import require_known_query, state_of
from app.api.security import caller_of
from app.jobs.figures import Period, Quantiles
from app.jobs.texts import to_json
from app.jobs.times import rfc3339
from app.keys import READ

router = APIRouter(tags=["health"])


@router.get(
    "/stats",
    operation_id="get_stats",
    summary="Counts, rates, durations and slots",
    responses=describe.answers(
        {200: Answer("The figures.", schemas.Stats, ("stats",))},
        "invalid-parameter",
        "store-unavailable",
    ),
)
async def get_stats(request: Request) -> Response:
    """How many jobs there are, how many ended when and how long they took, what is free."""
    caller = caller_of(request, READ)
    require_known_query(request)
    figures = await state_of(request).engine.figures(caller.sees)
    body = {
        "engine": figures.engine,
        "workers": figures.workers,
        "since": rfc3339(figures.since),
        "jobs": figures.jobs,
        "slots": {"taken": figures.slots_taken, "limit": figures.slots},
        "oldest_pending": rfc3339(figures.oldest_pending),
        "loop_lag": figures.loop_lag,
        "loop_blocked": figures.loop_blocked,
        "loop_blocked_seconds": round(figures.loop_blocked_seconds, 3),
        "minutes": [_period(period) for period in figures.minutes],
        "quarter_hours": [_period(period) for period in figures.quarter_hours],
    }
    return Reply(to_json(body))


def quantiles(durations: Quantiles | None) -> dict[str, float] | None:
    """Durations as clients see them."""
    if durations is None:
        return None
    return {"p50": durations.p50, "p90": durations.p90, "p99": durations.p99}


def _period(period: Period) -> dict[str, Any]:
    return {
        "start": rfc3339(period.start),
        "ended": period.ended,
        "durations": quantiles(period.durations),
    }
