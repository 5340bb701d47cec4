"""The tasks that a measured server runs: `AWAITD_TASKS=benchmarks.tasks`."""

import asyncio
import time

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


@task
async def fail() -> None:
    """Fail."""
    raise ValueError("out of paper")


@task
async def text(size: int) -> str:
    """Give so many characters back, from a few bytes of params."""
    return "x" * size


@task
async def stalls(seconds: float, pause: float = 0.002) -> list[float]:
    """How late the event loop woke this job, in milliseconds, time after time."""
    late = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        await asyncio.sleep(pause)
        late.append(round((time.perf_counter() - before - pause) * 1e3, 3))
    return late


@task
async def begun() -> float:
    """When its first step was, by the clock that all processes of a machine share."""
    return time.monotonic()


@task
async def stopped() -> float:
    """When it was told to stop, by the same clock."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return time.monotonic()
