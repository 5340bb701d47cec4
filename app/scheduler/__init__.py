"""The in-process asyncio scheduler: a library of its own, on the standard library alone.

async with BackgroundTaskScheduler(max_running=100) as scheduler:
    task = scheduler.create_task(fetch, url)
    value = await task
"""

from app.scheduler.errors import IllegalStep, SchedulerClosed, SchedulerError, TaskNotFinished
from app.scheduler.scheduler import BackgroundTaskScheduler
from app.scheduler.states import Status, Step
from app.scheduler.task import BackgroundTask

__all__ = [
    "BackgroundTask",
    "BackgroundTaskScheduler",
    "IllegalStep",
    "SchedulerClosed",
    "SchedulerError",
    "Status",
    "Step",
    "TaskNotFinished",
]
