"""The tasks that awaitd runs for the benchmarks."""

import asyncio
import time
from typing import Annotated

from pydantic import Field

from app.jobs import task


@task
async def noop() -> None:
    """Does nothing."""


@task
async def fail() -> None:
    """Fails."""
    raise ValueError("out of paper")


@task
async def sleep(seconds: float) -> None:
    """Waits."""
    await asyncio.sleep(seconds)


@task
async def text(size: int) -> str:
    """A result of so many bytes."""
    return "x" * size


@task
async def stalls(seconds: float, pause: Annotated[float, Field(gt=0)] = 0.002) -> list[float]:
    """How late the event loop woke this job, in milliseconds, time after time."""
    late = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        await asyncio.sleep(pause)
        late.append(round((time.perf_counter() - before - pause) * 1e3, 3))
    return late
