from uuid import UUID

import pytest

from app.jobs import JobContext
from tests.tasks.sink import RecordingSink


@pytest.fixture
def sink() -> RecordingSink:
    """Where the job of this test reports to."""
    return RecordingSink()


@pytest.fixture
def job(sink: RecordingSink) -> JobContext:
    """A running job without a time limit."""
    return JobContext(UUID(int=1), 1, {}, sink)
