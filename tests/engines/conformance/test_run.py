"""How jobs run and end. What stands here is promised by every engine."""

import asyncio
from collections.abc import Callable

import pytest

from app.jobs.config import wall_clock
from app.jobs.engine import Engine
from app.jobs.models import ErrorType, JobError, Progress
from app.scheduler import Status
from tests.engines.harness import LONG, accepted, ended, idle
from tests.engines.puppets import BRIEF, Puppets, job_of, secret


async def test_result(engine: Engine) -> None:
    """A job ends with what its coroutine returned, as JSON."""
    job = await accepted(engine, job_of("echo", params={"value": {"a": [1, "ä", None]}}))
    job = await ended(engine, job)
    assert job.status is Status.COMPLETED
    assert job.result == '{"a":[1,"ä",null]}'.encode()
    assert (job.error, job.cancel_requested_at) == (None, None)


async def test_times(engine: Engine) -> None:
    """The times of a job are in the order of its life, and its attempt has them too."""
    job = await ended(engine, await accepted(engine, job_of("echo")))
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.expires_at is not None
    assert job.created_at <= job.run_at <= job.started_at <= job.finished_at < job.expires_at
    [attempt] = job.attempts
    assert (attempt.number, attempt.outcome) == (1, Status.COMPLETED)
    assert (attempt.started_at, attempt.finished_at) == (job.started_at, job.finished_at)


async def test_running(engine: Engine, puppets: Puppets) -> None:
    """While its coroutine runs, a job is running in its first attempt, without an end."""
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    job = await engine.get(job.id)
    assert (job.status, job.attempt, job.done) == (Status.RUNNING, 1, False)
    assert (job.finished_at, job.expires_at, job.result) == (None, None, None)


async def test_exception(engine: Engine, puppets: Puppets) -> None:
    """A job whose coroutine raises fails with the exception's class and text."""
    job = await accepted(engine, job_of("hold", "a"))
    puppets.fail("a", ValueError("no luck"))
    job = await ended(engine, job)
    assert (job.status, job.result) == (Status.FAILED, None)
    assert job.error == JobError(ErrorType.EXCEPTION, "no luck", "ValueError")
    assert job.attempts[0].error == job.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()])
async def test_base_exceptions(engine: Engine, puppets: Puppets, error: BaseException) -> None:
    """What no program should catch fails its own job, and the next one runs."""
    job = await accepted(engine, job_of("persistent", "a"))
    puppets.fail("a", error)
    job = await ended(engine, job)
    assert (job.status, job.attempt) == (Status.FAILED, 1)
    assert job.error is not None
    assert job.error.exception == type(error).__name__
    job = await ended(engine, await accepted(engine, job_of("echo")))
    assert job.status is Status.COMPLETED


async def test_bad_result(engine: Engine) -> None:
    """A value that is not of the declared type fails the job, and is not kept."""
    job = await ended(engine, await accepted(engine, job_of("number", params={"value": "5"})))
    assert (job.status, job.result) == (Status.FAILED, None)
    assert job.error is not None
    assert job.error.type is ErrorType.BAD_RESULT


async def test_large_result(open_engine: Callable[..., Engine]) -> None:
    """A result above the limit fails the job."""
    async with open_engine(max_result_size=10) as engine:
        fits = await accepted(engine, job_of("echo", params={"value": "12345678"}))
        large = await accepted(engine, job_of("echo", params={"value": "123456789"}))
        assert (await ended(engine, fits)).status is Status.COMPLETED
        error = (await ended(engine, large)).error
        assert error is not None
        assert error.type is ErrorType.BAD_RESULT


async def test_timeout(engine: Engine, puppets: Puppets) -> None:
    """An attempt that takes longer than its timeout is interrupted once, and the job fails."""
    job = await ended(engine, await accepted(engine, job_of("brief", "a")))
    assert (job.status, job.timeout) == (Status.FAILED, BRIEF)
    assert job.error is not None
    assert job.error.type is ErrorType.TIMEOUT
    assert puppets.cancels["a"] == 1


async def test_shorter_timeout(engine: Engine, puppets: Puppets) -> None:
    """A submission may ask for less time than its task would have."""
    job = await accepted(engine, job_of("hold", "a", timeout=0.01))
    job = await ended(engine, job)
    assert job.error is not None
    assert job.error.type is ErrorType.TIMEOUT


async def test_retry_after_exception(engine: Engine, puppets: Puppets) -> None:
    """A failed attempt is followed by another, up to the task's retries; each stays on record."""
    job = await accepted(engine, job_of("persistent", "a"))
    puppets.fail("a", ValueError("first"), attempt=1)
    puppets.fail("a", ValueError("second"), attempt=2)
    puppets.end("a", "third time lucky", attempt=3)
    job = await ended(engine, job)
    assert (job.status, job.attempt, job.max_attempts) == (Status.COMPLETED, 3, 3)
    assert [attempt.number for attempt in job.attempts] == [1, 2, 3]
    outcomes = [Status.FAILED, Status.FAILED, Status.COMPLETED]
    assert [attempt.outcome for attempt in job.attempts] == outcomes
    messages = [attempt.error and attempt.error.message for attempt in job.attempts]
    assert messages == ["first", "second", None]
    assert job.error is None


async def test_retries_run_out(engine: Engine, puppets: Puppets) -> None:
    """When the last attempt fails, the job fails with that attempt's error."""
    job = await accepted(engine, job_of("persistent", "a"))
    for attempt in (1, 2, 3):
        puppets.fail("a", ValueError(f"number {attempt}"), attempt=attempt)
    job = await ended(engine, job)
    assert (job.status, job.attempt) == (Status.FAILED, 3)
    assert job.error is not None
    assert job.error.message == "number 3"
    assert puppets.started == ["a", "a", "a"]


async def test_retry_after_timeout(engine: Engine, puppets: Puppets) -> None:
    """A timeout is retried, and the second attempt has the full time again."""
    job = await ended(engine, await accepted(engine, job_of("brief_twice", "a")))
    assert (job.status, job.attempt, puppets.cancels["a"]) == (Status.FAILED, 2, 2)
    assert [a.error and a.error.type for a in job.attempts] == [ErrorType.TIMEOUT] * 2


async def test_between_attempts(engine: Engine, puppets: Puppets) -> None:
    """Between two attempts a job is pending, due at the end of its back-off."""
    job = await accepted(engine, job_of("patient", "a"))
    await puppets.begun("a")
    version = (await engine.get(job.id)).version
    before = wall_clock()
    puppets.fail("a", ValueError("not yet"))
    job = await engine.wait(job.id, timeout=5, since=version)
    assert (job.status, job.attempt, job.started_at) == (Status.PENDING, 1, None)
    assert job.error is None
    [attempt] = job.attempts
    assert attempt.finished_at is not None
    assert job.run_at >= before + 60_000


async def test_no_retry_without_retries(engine: Engine, puppets: Puppets) -> None:
    """A job of a task without retries is never started twice."""
    job = await accepted(engine, job_of("hold", "a"))
    puppets.fail("a", ValueError("once"))
    assert (await ended(engine, job)).attempt == 1
    assert puppets.started == ["a"]


async def test_progress(engine: Engine, puppets: Puppets) -> None:
    """What a coroutine says about its progress is seen while it runs, and not afterwards."""
    job = await accepted(engine, job_of("talk", "a"))
    await puppets.begun("a")
    assert (await engine.get(job.id)).progress == Progress(0.25, "a quarter")
    puppets.end("a")
    assert (await ended(engine, job)).progress is None


async def test_progress_between_attempts(engine: Engine, puppets: Puppets) -> None:
    """The progress of an attempt is not shown when it has ended, nor for the next one."""
    job = await accepted(engine, job_of("talk_again", "a"))
    await puppets.begun("a")
    running = await engine.get(job.id)
    puppets.fail("a", ValueError())
    changed = await engine.wait(job.id, timeout=LONG, since=running.version)
    assert changed.status is Status.PENDING or changed.attempt == 2
    assert changed.progress is None
    puppets.end("a", attempt=2)
    assert (await ended(engine, job)).progress is None


async def test_versions_grow(engine: Engine, puppets: Puppets) -> None:
    """Every committed change of a job gives it a greater version than any job had before."""
    first = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    second = await accepted(engine, job_of("hold", "b"))
    assert second.version > first.version
    puppets.end("a")
    assert (await ended(engine, first)).version > second.version


async def test_own_context(engine: Engine) -> None:
    """A coroutine sees nothing of the context in which its job was submitted."""
    secret.set("of the submitter")
    job = await ended(engine, await accepted(engine, job_of("look")))
    assert job.result == b'"none"'


async def test_many(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """Of a thousand jobs submitted at once each ends once, with its own result."""
    async with open_engine(max_running=50) as engine:
        news = [job_of("echo", params={"value": number}) for number in range(1000)]
        jobs = await asyncio.gather(*(accepted(engine, new) for new in news))
        results = [(await ended(engine, job)).result for job in jobs]
        assert results == [str(number).encode() for number in range(1000)]
        await idle(engine)
