"""Tasks: what can be run."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api import describe, schemas
from app.api.describe import Answer
from app.api.examples import example_of
from app.api.problems import Problem
from app.api.replies import Reply
from app.api.requests import require_known_query, state_of
from app.api.security import caller_of
from app.api.stats import quantiles
from app.jobs.figures import TaskFigures
from app.jobs.registry import Task
from app.jobs.texts import to_json
from app.scheduler import Status

_NONE: Final = TaskFigures(dict.fromkeys(Status, 0), None)

router = APIRouter(tags=["tasks"])


@router.get(
    "/tasks",
    operation_id="list_tasks",
    summary="Every task",
    responses=describe.answers(
        {200: Answer("Every task.", schemas.TaskList, ("tasks",))},
        "invalid-parameter",
        "store-unavailable",
    ),
)
async def list_tasks(request: Request) -> Response:
    """What can be run: documentation, schemas, an example and limits of every task."""
    caller = caller_of(request)
    require_known_query(request)
    figures = (await state_of(request).engine.figures(caller.sees)).tasks
    items = [_task_members(task, figures) for task in state_of(request).registry]
    return Reply(to_json({"items": items}))


@router.get(
    "/tasks/{name}",
    operation_id="get_task",
    summary="One task",
    responses=describe.answers(
        {200: Answer("The task.", schemas.Task, ("task",))},
        "invalid-parameter",
        "not-found",
        "store-unavailable",
    ),
)
async def get_task(name: str, request: Request) -> Response:
    """What one task does, takes and returns."""
    caller = caller_of(request)
    require_known_query(request)
    task = state_of(request).registry.get(name)
    if task is None:
        raise Problem("not-found", "there is no such task; GET /tasks lists them")
    figures = (await state_of(request).engine.figures(caller.sees)).tasks
    return Reply(to_json(_task_members(task, figures)))


def _task_members(task: Task, figures: Mapping[str, TaskFigures]) -> dict[str, Any]:
    known = figures.get(task.name, _NONE)
    return {
        "name": task.name,
        "summary": task.summary,
        "description": task.doc,
        "params_schema": task.params.schema(),
        "result_schema": task.result.schema(),
        "example": example_of(task),
        "timeout": task.options.timeout,
        "max_attempts": task.max_attempts,
        "max_running": task.options.max_running,
        "priority": task.options.priority,
        "figures": {"jobs": known.jobs, "durations": quantiles(known.durations)},
    }
