"""Tasks whose coroutines act out a script, and leave evidence of it outside the journal."""

import asyncio
from contextvars import ContextVar
from random import Random
from typing import Any, Final, Protocol
from uuid import UUID

from app.jobs import JobContext, task
from app.jobs.options import options_of
from app.jobs.registry import TaskRegistry, task_from
from tests.simulation.loop import TICK


class Evidence(Protocol):
    """Where coroutines note what they do."""

    def began(self, job_id: UUID, attempt: int) -> None: ...
    def interrupted(self, job_id: UUID, attempt: int) -> None: ...
    def ended(self, job_id: UUID, attempt: int, how: str, value: object) -> None: ...


evidence: ContextVar[Evidence] = ContextVar("evidence")

BRIEF: Final = 8 * TICK


class Odd(BaseException):
    """An exception that no task should be retried for, and a value that is no JSON."""


@task
async def once(script: dict[str, Any], *, job: JobContext) -> Any:
    """Never runs twice."""
    return await _act(script, job)


@task(retries=3, backoff=0)
async def again(script: dict[str, Any], *, job: JobContext) -> Any:
    """Is tried again at once."""
    return await _act(script, job)


@task(retries=1, backoff=2.0)
async def patient(script: dict[str, Any], *, job: JobContext) -> Any:
    """Is tried again after a while, by chance."""
    return await _act(script, job)


@task(retries=2, backoff=lambda attempt: attempt * TICK, max_running=2)
async def pair(script: dict[str, Any], *, job: JobContext) -> Any:
    """Two at once."""
    return await _act(script, job)


@task(retries=1, backoff=0, timeout=BRIEF)
async def brief(script: dict[str, Any], *, job: JobContext) -> Any:
    """May not take long."""
    return await _act(script, job)


@task(max_running=1)
async def single(script: dict[str, Any], *, job: JobContext) -> list[str | int]:
    """One at a time, with a result that is checked."""
    result: list[str | int] = await _act(script, job)
    return result


TASKS: Final = (once, again, patient, pair, brief, single)
REGISTRY: Final = TaskRegistry(task_from(t, o) for t in TASKS if (o := options_of(t)))
LIMITS: Final = {task.name: task.options.max_running for task in REGISTRY}


def without(name: str) -> TaskRegistry:
    """The registry of a deployment that has lost a task."""
    return TaskRegistry(task for task in REGISTRY if task.name != name)


def script_of(chance: Random) -> dict[str, Any]:
    """What a coroutine is to do."""
    return {
        "steps": [chance.randrange(8) for _ in range(chance.randrange(4))],
        "end": chance.choice(["return"] * 6 + ["raise", "exit", "cancel", "bad", "odd"]),
        "fail_first": chance.choice([0, 0, 0, 1, 2]),
        "on_cancel": chance.choice(["die", "die", "tidy", "go on", "return", "raise"]),
        "tidy": chance.randrange(5),
        "sub": chance.random() < 0.2,
    }


async def _act(script: dict[str, Any], job: JobContext) -> Any:
    notes = evidence.get()
    notes.began(job.id, job.attempt)
    try:
        value = await _play(script, job, notes)
    except GeneratorExit:
        raise
    except BaseException as error:
        notes.ended(job.id, job.attempt, "raised", type(error).__name__)
        raise
    notes.ended(job.id, job.attempt, "returned", value)
    return value


async def _play(script: dict[str, Any], job: JobContext, notes: Evidence) -> Any:
    job.log("begins")
    for number, ticks in enumerate(script["steps"]):
        try:
            await _step(ticks, sub=script["sub"])
        except asyncio.CancelledError:
            notes.interrupted(job.id, job.attempt)
            match script["on_cancel"]:
                case "die":
                    raise
                case "tidy":
                    await _tidy(script["tidy"], job, notes)
                    raise
                case "return":
                    return [str(job.id), -job.attempt]
                case "raise":
                    raise ValueError("the clean-up broke") from None
        job.progress(number / 10)
    if job.attempt <= script["fail_first"]:
        raise ValueError("it fails at first")
    return _end(script["end"], job)


async def _tidy(ticks: int, job: JobContext, notes: Evidence) -> None:
    try:
        await asyncio.sleep(ticks * TICK)
    except asyncio.CancelledError:
        notes.interrupted(job.id, job.attempt)
        raise


async def _step(ticks: int, *, sub: bool) -> None:
    if sub:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(ticks * TICK))
    else:
        await asyncio.sleep(ticks * TICK)


def _end(how: str, job: JobContext) -> Any:
    match how:
        case "raise":
            raise ValueError("it raises")
        case "exit":
            raise SystemExit(3)
        case "cancel":
            raise asyncio.CancelledError
        case "odd":
            raise Odd
        case "bad":
            return Odd()
    return [str(job.id), job.attempt]
