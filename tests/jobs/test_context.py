import math
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs import JobContext
from app.jobs.models import Progress
from tests.jobs.attempts import Notebook

JOB_ID = UUID("0199d2a0-7b1c-7000-8f3e-2a41c07de512")


@pytest.fixture
def notebook() -> Notebook:
    """Keeps what the job of a test says about itself."""
    return Notebook()


@pytest.fixture
def job(notebook: Notebook) -> JobContext:
    """The second attempt of a job without a timeout."""
    return JobContext(JOB_ID, 2, {"order": "42"}, notebook)


def test_a_job_knows_itself(job: JobContext) -> None:
    """Id, attempt and labels are those of the job."""
    assert (job.id, job.attempt, job.labels) == (JOB_ID, 2, {"order": "42"})


def test_its_labels_are_a_copy() -> None:
    """What a coroutine does to its labels does not reach the job."""
    labels = {"order": "42"}
    job = JobContext(JOB_ID, 1, labels, Notebook())
    assert job.labels is not labels


def test_the_time_that_remains_runs_down_to_zero() -> None:
    """It counts from the start of the attempt, and never falls below 0."""
    times = iter([100.0, 100.0, 104.5, 110.0, 111.0])
    job = JobContext(JOB_ID, 1, {}, Notebook(), timeout=10, monotonic=lambda: next(times))
    assert [job.remaining for _ in range(4)] == [10, 5.5, 0, 0]


def test_without_a_timeout_no_time_is_known(job: JobContext) -> None:
    """None means that the attempt may take as long as it likes."""
    assert job.remaining is None


@given(attempts=st.lists(st.integers(1, 999_999_999), min_size=2, max_size=2, unique=True))
def test_a_later_attempt_has_a_greater_token(attempts: list[int]) -> None:
    """Tokens of one job compare, as texts, like the numbers of its attempts."""
    first, second = (JobContext(JOB_ID, n, {}, Notebook()).token for n in sorted(attempts))
    assert first < second


@pytest.mark.parametrize(
    ("fraction", "shown"), [(0.25, 0.25), (0, 0), (1, 1), (-3, 0), (1.0001, 1), (True, 1)]
)
def test_progress_is_clamped(
    fraction: float, shown: float, job: JobContext, notebook: Notebook
) -> None:
    """A fraction outside of 0 to 1 is taken as the nearest inside."""
    job.progress(fraction)
    assert notebook.shown == [Progress(shown, None)]


def test_progress_may_be_a_message_alone(job: JobContext, notebook: Notebook) -> None:
    """The fraction, the message, or both are shown; each call replaces both."""
    job.progress(message="12 pages")
    job.progress(0.5, "12 of 24 pages")
    job.progress()
    assert notebook.shown == [
        Progress(None, "12 pages"),
        Progress(0.5, "12 of 24 pages"),
        Progress(None, None),
    ]


@pytest.mark.parametrize("fraction", [math.nan, math.inf, -math.inf])
def test_progress_is_a_number(fraction: float, job: JobContext, notebook: Notebook) -> None:
    """NaN and infinity are no fractions, and nothing is shown."""
    with pytest.raises(ValueError, match="fraction"):
        job.progress(fraction)
    assert notebook.shown == []


def test_what_a_job_says_can_always_be_shown(job: JobContext, notebook: Notebook) -> None:
    """Messages and log lines are cut, and are valid UTF-8."""
    for text in ("x" * 1_000_000, "\ud800"):
        job.progress(message=text)
        job.log(text)
    texts = [progress.message or "" for progress in notebook.shown]
    assert texts == notebook.lines
    assert [len(text.encode()) for text in texts] == [2_002, 1]


def test_a_log_line_is_text(job: JobContext, notebook: Notebook) -> None:
    """Whatever is logged is written as `str` gives it."""
    job.log("found 3")
    job.log(ValueError("no"))  # type: ignore[arg-type]
    assert notebook.lines == ["found 3", "no"]
