"""A task called as its jobs call it."""

from typing import Any

from app.jobs import JobContext
from app.jobs.models import Json
from app.jobs.registry import Task


async def run(task: Task, params: Json, job: JobContext) -> Any:
    """What its coroutine returns."""
    arguments = task.params.parse(params)
    if task.params.context_name is not None:
        arguments[task.params.context_name] = job
    return await task.function(**arguments)
