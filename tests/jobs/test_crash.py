import pytest
from msgspec.structs import replace

from app.jobs.models import ErrorType, Job
from app.jobs.options import TaskOptions
from app.jobs.registry import task_from
from app.jobs.runner import Outcome, crashed
from app.scheduler import Step
from tests.jobs.attempts import JOB, LIMITS, NOW


def _died(retries: int, job: Job = JOB) -> Outcome:
    async def work() -> None: ...

    task = task_from(work, TaskOptions(retries=retries))
    return crashed(job, task, LIMITS)


def test_a_crash_is_a_failed_attempt() -> None:
    """Without attempts left the job has failed, interrupted."""
    outcome = _died(retries=0)
    assert outcome.step is Step.FAIL
    assert outcome.error is not None
    assert outcome.error.type is ErrorType.INTERRUPTED
    assert outcome.retry_at is None


@pytest.mark.parametrize("known", [True, False], ids=["task known", "task gone"])
def test_a_crash_is_retried_while_attempts_are_left(known: bool) -> None:
    """The number of attempts is the job's own; a task that is gone has no back-off."""
    job = replace(JOB, max_attempts=2)
    outcome = _died(1, job) if known else crashed(job, None, LIMITS)
    assert outcome.step is Step.RETRY
    assert outcome.retry_at == NOW + (500 if known else 0)
