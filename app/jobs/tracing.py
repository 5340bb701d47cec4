"""What a trace has to know of an attempt, whoever keeps it."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias, TypeVar

from app.jobs.models import Job, JobError
from app.scheduler import Step

T = TypeVar("T")


class Span(Protocol):
    """One attempt of a job, from its start to its outcome."""

    async def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run the coroutine inside: spans that its code begins are parts of this one."""

    def raised(self, error: JobError, traceback: str) -> None:
        """The coroutine has raised this."""

    def ended(self, step: Step, error: JobError | None) -> None:
        """The attempt is over; `error` is why it has failed, or what its clean-up raised."""


Trace: TypeAlias = Callable[[Job], Span]
"""Begins the span of an attempt, which is the job's last one."""
