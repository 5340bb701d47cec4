from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.admission import MAX_DELAY, Admission, admit
from app.jobs.errors import InvalidParams
from app.jobs.ids import first_at
from app.jobs.models import Attempt, Job, NewJob
from app.jobs.options import TaskOptions
from app.jobs.registry import Task, task_from
from app.scheduler import Status

NOW = 1_700_000_000_000
JOB_ID = first_at(NOW)


async def resize(width: int, height: int = 10) -> None:
    """Resizes a picture."""


def _task(**options: Any) -> Task:
    return task_from(resize, TaskOptions(**options))


def _admit(task: Task, params: bytes = b'{"width":1}', **new: Any) -> Job:
    return _job(admit(NewJob(task="resize", params=params, **new), task))


def _job(admission: Admission, job_id: UUID = JOB_ID, now: int = NOW) -> Job:
    """The pending job of an admission."""
    return admission.job(job_id, 7, admission.run_at(job_id, now))


def test_a_plain_submission_is_a_pending_job_due_now() -> None:
    """What is not asked for is as the task says."""
    job = _admit(_task(priority=3, timeout=60, retries=2))
    assert job == Job(
        id=JOB_ID,
        task="resize",
        status=Status.PENDING,
        version=7,
        params=b'{"width":1}',
        priority=3,
        timeout=60,
        max_attempts=3,
        run_at=NOW,
    )


def test_a_priority_is_a_plain_integer() -> None:
    """What counts as one in Python, but is not written as one in JSON, becomes one."""
    job = _admit(_task(priority=True))
    assert (job.priority, type(job.priority)) == (1, int)


def test_a_clock_that_was_set_back_delays_no_job() -> None:
    """A job is due by the clock, though ids that only grow may be ahead of it."""
    submission = NewJob(task="resize", params=b'{"width":1}')
    job = _job(admit(submission, _task()), first_at(NOW + 3_600_000))
    assert job.run_at == NOW


def test_a_clock_that_is_later_by_a_moment() -> None:
    """What is due at once is due when it was created, though the clock was read a moment later."""
    submission = NewJob(task="resize", params=b'{"width":1}')
    assert _job(admit(submission, _task()), now=NOW + 1).run_at == NOW


def test_a_job_that_begins_at_once() -> None:
    """Written as started in its first row, it is in its first attempt."""
    admission = admit(NewJob(task="resize", params=b'{"width":1}'), _task(retries=1))
    job = admission.job(JOB_ID, 7, NOW, started_at=NOW + 5)
    assert (job.status, job.attempt, job.started_at) == (Status.RUNNING, 1, NOW + 5)
    assert job.attempts == (Attempt(1, NOW + 5),)


def test_arguments() -> None:
    """What the params stand for is found once, with the defaults of those that were left out."""
    admission = admit(NewJob(task="resize", params=b'{"width":1}'), _task())
    assert admission.arguments == {"width": 1, "height": 10}


def test_what_is_asked_for_goes_before_what_the_task_says() -> None:
    """Priority, timeout, labels, owner and trace are those of the submission."""
    job = _admit(
        _task(priority=3, timeout=60),
        priority=0,
        timeout=5,
        labels={"order": "42"},
        owner="shop",
        traceparent="00-1-2-00",
    )
    assert (job.priority, job.timeout, job.labels) == (0, 5, {"order": "42"})
    assert (job.owner, job.traceparent) == ("shop", "00-1-2-00")


def test_the_params_stay_as_they_were_sent() -> None:
    """Defaults are not written into them, nor is anything converted."""
    assert _admit(_task(), b'{"width": 7.0}').params == b'{"width": 7.0}'


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_a_task_without_a_limit_takes_any_timeout(timeout: float | None) -> None:
    """With none asked for there is none."""
    assert _admit(_task(), timeout=timeout).timeout == timeout


@given(delay=st.floats(0, MAX_DELAY))
def test_a_delay_counts_from_now(delay: float) -> None:
    """Seconds become milliseconds, to the nearest."""
    job = _admit(_task(), delay=delay)
    assert abs(job.run_at - NOW - delay * 1000) <= 0.5


@given(run_at=st.integers(0, 1 << 47))
def test_a_time_in_the_past_is_now(run_at: int) -> None:
    """So nobody jumps the queue; a time in the future stays."""
    assert _admit(_task(), run_at=run_at).run_at == max(NOW, run_at)


@pytest.mark.parametrize("due", [{}, {"delay": 30}, {"run_at": NOW + 30_000}])
def test_the_time_to_start_counts_from_the_due_time(due: dict[str, Any]) -> None:
    """`start_within` bounds the wait after the delay."""
    job = _admit(_task(), start_within=2.5, **due)
    assert job.start_by == job.run_at + 2_500


def test_everything_wrong_is_told_at_once() -> None:
    """Envelope and params are checked together, each with a pointer."""
    with pytest.raises(InvalidParams) as refused:
        _admit(_task(timeout=60), b'{"height":"x"}', timeout=60.5, delay=1, run_at=NOW)
    assert [(error.pointer, error.code) for error in refused.value.errors] == [
        ("/timeout", "above_task_limit"),
        ("/run_at", "conflict"),
        ("/params/width", "missing"),
        ("/params/height", "int_type"),
    ]
    assert "60 s" in str(refused.value)


def test_the_tasks_own_limit_may_be_asked_for() -> None:
    """A timeout at the limit is not above it."""
    assert _admit(_task(timeout=60), timeout=60.0).timeout == 60


def test_the_job_has_the_id_it_is_given() -> None:
    """Ids are made by the store, which keeps them in order."""
    assert _admit(_task()).id == JOB_ID
    assert isinstance(JOB_ID, UUID)
