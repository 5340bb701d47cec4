"""Tasks that leave evidence of what they did, in a file that is not the journal's."""

import asyncio
import functools
import os
import time
from typing import Any, Literal

from pydantic import BaseModel

from app.jobs import JobContext, task

TASKS = "tests.crash.storm.tasks"

EVIDENCE = "STORM_EVIDENCE"
"""The environment variable that names the file: one line for everything that a coroutine does."""


class Planned(Exception):
    """Raised by an attempt that was told to fail."""


class Plan(BaseModel):
    """What a coroutine is to do; times in seconds."""

    work: float = 0.0
    failures: int = 0
    clean_up: float = 0.0
    when_cancelled: Literal["raise", "return", "fail", "go on"] = "raise"


@task
async def once(plan: Plan, *, job: JobContext) -> str | None:
    """May not be repeated."""
    return await follow(plan, job)


@task(retries=3, backoff=0)
async def again(plan: Plan, *, job: JobContext) -> str | None:
    """May be repeated, at once."""
    return await follow(plan, job)


@task(retries=2, backoff=0.03)
async def later(plan: Plan, *, job: JobContext) -> str | None:
    """May be repeated, after a while."""
    return await follow(plan, job)


@task(max_running=2, retries=1, backoff=0)
async def narrow(plan: Plan, *, job: JobContext) -> str | None:
    """Waits for one of two places."""
    return await follow(plan, job)


async def follow(plan: Plan, job: JobContext) -> str | None:
    """Do what the plan says, and tell of every start, cancel, clean-up and end."""
    tell(job, "started")
    try:
        value = await act(plan, job)
    except BaseException as error:
        tell(job, "raised", type(error).__name__)
        raise
    tell(job, "returned", value)
    return value


async def act(plan: Plan, job: JobContext) -> str | None:
    """Work, fail, or clean up after a cancel; the value is one that nobody could make up."""
    try:
        await asyncio.sleep(plan.work)
    except asyncio.CancelledError:
        tell(job, "cancelled")
        await clean_up(plan.clean_up, job)
        if plan.when_cancelled == "raise":
            raise
        if plan.when_cancelled == "fail":
            raise Planned("its clean-up failed") from None
        if plan.when_cancelled == "go on":
            await clean_up(plan.work / 4, job)
    if job.attempt <= plan.failures:
        raise Planned(f"attempt {job.attempt}")
    return os.urandom(8).hex()


async def clean_up(seconds: float, job: JobContext) -> None:
    """Take some time, in which a second `CancelledError` would be told of too."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        tell(job, "cancelled")
        raise
    tell(job, "cleaned up")


def tell(job: JobContext, what: str, value: Any = "") -> None:
    """Add one line in one write, so that no kill can tear it."""
    line = f"{time.monotonic_ns()}\t{job.id}\t{job.attempt}\t{what}\t{value}\n"
    os.write(_evidence(), line.encode())


@functools.cache
def _evidence() -> int:
    return os.open(os.environ[EVIDENCE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
