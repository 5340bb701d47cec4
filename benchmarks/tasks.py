"""The tasks that a measured server runs: `AWAITD_TASKS=benchmarks.tasks`."""

import asyncio

from app.jobs import task


@task
async def noop() -> None:
    """Does nothing."""


@task
async def sleep(seconds: float) -> None:
    """Sleep for so many seconds."""
    await asyncio.sleep(seconds)


@task
async def echo(text: str) -> str:
    """Give the text back: a result of any size."""
    return text
