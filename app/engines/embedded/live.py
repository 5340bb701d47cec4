"""What memory holds of a job that has not finished; everything else stands in the journal."""

from uuid import UUID

from app.jobs.models import Job, Millis, Progress
from app.jobs.runner import Attempt


class LiveJob:
    """A pending or running job. It receives what the coroutine says about its progress."""

    __slots__ = (
        "attempt",
        "id",
        "last_progress",
        "number",
        "priority",
        "run_at",
        "start_by",
        "task",
    )

    def __init__(self, job: Job) -> None:
        self.id: UUID = job.id
        self.task = job.task
        self.priority = job.priority
        self.run_at: Millis = job.run_at
        self.start_by = job.start_by if job.attempt == 0 else None
        """When it is too late for its first start; None without a limit, and once it started."""
        self.number = job.attempt
        """Of the last attempt that was started, 0 before the first."""
        self.attempt: Attempt | None = None
        """The attempt that runs now."""
        self.last_progress: Progress | None = None

    def progress(self, progress: Progress) -> None:
        """Keep the latest progress; it is shown, not journalled."""
        self.last_progress = progress

    def log(self, message: str) -> None:
        """Keep one log line."""
