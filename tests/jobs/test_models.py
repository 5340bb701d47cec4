import pytest
from msgspec.structs import replace

from app.jobs.ids import JobIds
from app.scheduler import Status
from tests.jobs.attempts import JOB


def test_a_job_was_created_when_its_id_was_made() -> None:
    """The time of its id is the time of its submission."""
    job = replace(JOB, id=JobIds(lambda: 1_234).next())
    assert job.created_at == 1_234


@pytest.mark.parametrize("status", Status)
def test_a_job_is_done_in_its_last_statuses(status: Status) -> None:
    """Completed, failed and cancelled jobs never change again; the others do."""
    last = {Status.COMPLETED, Status.FAILED, Status.CANCELLED}
    assert replace(JOB, status=status).done == (status in last)
