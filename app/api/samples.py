"""Answers as the OpenAPI document shows them, by the name of their component."""

import json
from collections.abc import Mapping
from typing import Any, Final

from app import __version__

_ID: Final = "0199d2a0-7b1c-7000-8f3e-2a41c07de512"

_LARGE: Final = ("params", "result", "attempts", "webhook")


def _attempt(finished_at: str | None, outcome: str | None, error: Any = None) -> dict[str, Any]:
    return {
        "number": 1,
        "started_at": "2026-11-22T10:00:00.000Z",
        "finished_at": finished_at,
        "outcome": outcome,
        "error": error,
    }


def _ended(status: str, **members: Any) -> dict[str, Any]:
    """The running job after its end, with what is different then."""
    ended_at = "2026-11-22T10:00:02.003Z"
    return _RUNNING | {
        "status": status,
        "done": True,
        "attempts": [_attempt(ended_at, status, members.get("error"))],
        "finished_at": ended_at,
        "expires_at": "2026-11-23T10:00:02.003Z",
        **members,
    }


_RUNNING: Final[dict[str, Any]] = {
    "id": _ID,
    "task": "sleep",
    "status": "running",
    "done": False,
    "params": {"seconds": 2},
    "result": None,
    "error": None,
    "progress": None,
    "labels": {"order": "42"},
    "priority": 0,
    "attempt": 1,
    "max_attempts": 1,
    "timeout": 60.0,
    "attempts": [_attempt(None, None)],
    "webhook": None,
    "created_at": "2026-11-22T10:00:00.000Z",
    "run_at": "2026-11-22T10:00:00.000Z",
    "started_at": "2026-11-22T10:00:00.000Z",
    "finished_at": None,
    "expires_at": None,
    "cancel_requested_at": None,
    "links": {
        "self": f"/jobs/{_ID}",
        "result": f"/jobs/{_ID}/result",
        "events": f"/jobs/{_ID}/events",
    },
}

_DELIVERY: Final = {
    "id": f"job_{_ID.replace('-', '')}_completed",
    "event": "completed",
    "status": "pending",
    "attempts": 1,
    "last_status": 503,
    "last_error": None,
    "next_attempt_at": "2026-11-22T10:00:07.611Z",
    "delivered_at": None,
}

_WEBHOOK: Final = {
    "url": "https://example.org/hooks/8f3e2a41",
    "events": ["completed", "failed"],
    "deliveries": [_DELIVERY],
}

_COMPLETED: Final = _ended("completed", result=2.0, webhook=_WEBHOOK)

_SUMMARY: Final = {name: _COMPLETED[name] for name in _COMPLETED if name not in _LARGE}

METRICS: Final = """\
# HELP awaitd_jobs Jobs in the store.
# TYPE awaitd_jobs gauge
awaitd_jobs{status="running",task="sleep"} 2.0
# HELP awaitd_loop_blocked_total How often the event loop was blocked for a second or more.
# TYPE awaitd_loop_blocked_total counter
awaitd_loop_blocked_total 0.0
"""

EVENTS: Final = f"""\
event: progress
data: {json.dumps({"job": _ID, "fraction": 0.4, "message": "12 of 30 pages"})}

id: 17
event: done
data: {json.dumps(_SUMMARY)}

"""
"""The end of a stream of one job."""

_NUMBERS: Final = {"pending": 0, "running": 2, "completed": 40, "failed": 1, "cancelled": 0}
_DURATIONS: Final = {"p50": 2.01, "p90": 2.4, "p99": 8.7}
_PERIOD: Final = {
    "start": "2026-11-22T10:00:00.000Z",
    "ended": {"completed": 40, "failed": 1},
    "durations": _DURATIONS,
}

_TASK: Final[dict[str, Any]] = {
    "name": "sleep",
    "summary": "Waits for some seconds, then returns how many were asked for.",
    "description": "Waits for some seconds, then returns how many were asked for.",
    "params_schema": {
        "type": "object",
        "properties": {"seconds": {"type": "number", "minimum": 0, "maximum": 3600}},
        "required": ["seconds"],
        "additionalProperties": False,
    },
    "result_schema": {"type": "number"},
    "example": {"seconds": 2},
    "timeout": None,
    "max_attempts": 1,
    "max_running": None,
    "priority": 0,
    "figures": {"jobs": _NUMBERS, "durations": _DURATIONS},
}

_READY: Final[dict[str, Any]] = {
    "status": "ready",
    "reason": None,
    "version": __version__,
    "pending": 0,
    "running": 2,
    "unknown_tasks": {},
}


def _message(job: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a job's end."""
    data = {name: job[name] for name in ("id", "task", "status", "attempt", "labels")}
    data["error"] = None if job["error"] is None else {"type": job["error"]["type"]}
    data["links"] = {name: job["links"][name] for name in ("self", "result")}
    return {"type": f"job.{job['status']}", "timestamp": job["finished_at"], "data": data}


_FAILED: Final = _ended(
    "failed",
    task="fail",
    params={"message": "out of paper"},
    error={"type": "exception", "exception": "RuntimeError", "message": "out of paper"},
)
_CANCELLED: Final = _ended("cancelled", cancel_requested_at="2026-11-22T10:00:01.250Z")

SAMPLES: Final[Mapping[str, Any]] = {
    "pending": _RUNNING
    | {
        "status": "pending",
        "attempt": 0,
        "attempts": [],
        "run_at": "2026-11-22T11:00:00.000Z",
        "started_at": None,
    },
    "running": _RUNNING,
    "stopping": _RUNNING | {"cancel_requested_at": "2026-11-22T10:00:01.250Z"},
    "completed": _COMPLETED,
    "failed": _FAILED,
    "cancelled": _CANCELLED,
    **{f"job.{job['status']}": _message(job) for job in (_COMPLETED, _FAILED, _CANCELLED)},
    "page": {
        "items": [_SUMMARY],
        "next": "AZnSoHscdwAPLipBwH3lEg",
    },
    "result": {"greeting": "hello", "to": ["you", "me"]},
    "delivery": _DELIVERY,
    "tasks": {"items": [_TASK]},
    "task": _TASK,
    "logs": {
        "items": [{"time": "2026-11-22T10:00:01.000Z", "message": "4 of 10 pages", "attempt": 1}]
    },
    "stack": {
        "frames": [
            {"function": "sleep", "file": "app/tasks/basics.py", "line": 22},
            {"function": "sleep", "file": "asyncio/tasks.py", "line": 649},
        ]
    },
    "stats": {
        "engine": "embedded",
        "workers": 1,
        "since": "2026-11-22T09:00:00.000Z",
        "jobs": _NUMBERS,
        "slots": {"taken": 2, "limit": 1000},
        "oldest_pending": None,
        "loop_lag": 0.0004,
        "loop_blocked": 0,
        "loop_blocked_seconds": 0.0,
        "minutes": [_PERIOD],
        "quarter_hours": [_PERIOD],
    },
    "alive": {"status": "alive"},
    "ready": _READY,
    "not-ready": _READY | {"status": "not-ready", "reason": "shutting down"},
    "problem-type": {
        "type": "/problems/job-not-finished",
        "title": "The job has not finished",
        "status": 409,
        "meaning": "There is no result yet; `job` shows how far it is.",
        "remedy": "Ask again after `Retry-After`, or wait with `Prefer: wait=n`.",
    },
}
