"""What the shell completes: names of tasks, ids of jobs; standard library only, and never long."""

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

import typer

from app.cli.server import authorization, server_url
from app.fetch import Unreachable, get

_WITHIN: Final = 1.0
"""Seconds that somebody who has pressed a key waits for a server."""

_JOBS: Final = 50


def complete_task(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The tasks whose names begin so, with what they do."""
    tasks = ((task["name"], task["summary"] or "") for task in _items(ctx, "/tasks"))
    return [(name, summary) for name, summary in tasks if name.startswith(incomplete)]


def complete_job(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest jobs whose ids begin so, with their task and status."""
    query = [("limit", str(_JOBS))]
    if ctx.info_name == "cancel":
        query += [("status", "pending"), ("status", "running")]
    jobs = _items(ctx, f"/jobs?{urlencode(query)}")
    return [
        (job["id"], f"{job['task']} {job['status']}")
        for job in jobs
        if job["id"].startswith(incomplete)
    ]


def complete_status(incomplete: str) -> list[str]:
    """The statuses that begin so."""
    from app.scheduler import Status  # brings asyncio along

    return [status for status in Status if status.startswith(incomplete)]


def _items(ctx: typer.Context, path: str) -> Iterator[dict[str, Any]]:
    """The items of a list, none if there is anything wrong: the shell has no place to say so."""
    url = server_url(ctx.params.get("url"))
    try:
        status, body = get(url, path, authorization(), within=_WITHIN)
        if status == 200:
            yield from json.loads(body)["items"]
    except (Unreachable, ValueError, KeyError, TypeError):
        return
