"""A program in which tasks end in every way there is; run in Python's development mode."""

import asyncio
from typing import Any

from app.scheduler import BackgroundTask, BackgroundTaskScheduler
from tests.scheduler.coroutines import (
    ignore_cancel_for,
    raise_it,
    raise_when_cancelled,
    return_it,
    return_when_cancelled,
    turns,
    wait_for_ever,
)
from tests.support.virtual import run_virtual


async def main() -> None:
    """Leave the results unread, the exceptions unraised and some tasks running."""
    async with BackgroundTaskScheduler(max_running=20, grace=1, cancel_grace=1) as scheduler:
        create_and_cancel_before_the_first_step(scheduler)
        cancelled: list[BackgroundTask[Any]] = [
            scheduler.create_task(wait_for_ever),
            scheduler.create_task(return_when_cancelled, 1),
            scheduler.create_task(raise_when_cancelled, KeyboardInterrupt()),
            scheduler.create_task(ignore_cancel_for, 0.5, 1),
        ]
        for error in (ValueError(), SystemExit(), GeneratorExit(), asyncio.CancelledError()):
            scheduler.create_task(raise_it, error)
        await turns()
        for task in cancelled:
            task.cancel()
        for _ in range(50):
            scheduler.create_task(wait_for_ever)
        create_and_cancel_before_the_first_step(scheduler)
        await scheduler.create_task(return_it, 1, priority=1)


def create_and_cancel_before_the_first_step(scheduler: BackgroundTaskScheduler) -> None:
    """End the lives of coroutines that never began."""
    for _ in range(5):
        scheduler.create_task(wait_for_ever).cancel()


if __name__ == "__main__":
    run_virtual(main)
