"""What a coroutine may ask about its own job, and tell about it."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Protocol
from uuid import UUID

from app.jobs.models import Progress
from app.jobs.texts import clipped


class ContextSink(Protocol):
    """Where a job's progress and log lines go: the engine that runs it."""

    def progress(self, progress: Progress) -> None:
        """Keep the latest progress."""

    def log(self, message: str) -> None:
        """Keep one log line."""


class JobContext:
    """The running job, as its coroutine sees it: a parameter annotated `JobContext` receives it."""

    __slots__ = ("_deadline", "_monotonic", "_sink", "attempt", "id", "labels")

    def __init__(
        self,
        job_id: UUID,
        attempt: int,
        labels: Mapping[str, str],
        sink: ContextSink,
        timeout: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = job_id
        """The job's id."""
        self.attempt = attempt
        """1 for the first run of the job, and one more for each further run."""
        self.labels = dict(labels)
        """The labels of the submission."""
        self._sink = sink
        self._monotonic = monotonic
        self._deadline = None if timeout is None else monotonic() + timeout

    @property
    def remaining(self) -> float | None:
        """Seconds until this attempt times out, never below 0; None without a timeout."""
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - self._monotonic())

    @property
    def token(self) -> str:
        """Unique to this attempt, and greater than any earlier attempt's of the same job.

        Send it along with side effects, so that a store of yours can refuse an attempt that was
        taken for dead.
        """
        return f"{self.id}:{self.attempt:09d}"

    def progress(self, fraction: float | None = None, message: str | None = None) -> None:
        """Show how far the job is: a fraction (clamped to 0 to 1), a message, or both.

        A message is cut to 2,000 characters. Raises `ValueError` when the fraction is not finite.
        """
        if fraction is not None:
            if not math.isfinite(fraction):
                raise ValueError(f"fraction is a number from 0 to 1, not {fraction}")
            fraction = min(max(float(fraction), 0.0), 1.0)
        self._sink.progress(Progress(fraction, None if message is None else clipped(str(message))))

    def log(self, message: str) -> None:
        """Add a line, cut to 2,000 characters, to the job's log, whose last lines are kept."""
        self._sink.log(clipped(str(message)))
