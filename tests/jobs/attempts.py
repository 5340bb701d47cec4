"""What the tests of the runner share: one attempt of a job, run for real."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from app.jobs.models import Job, Progress
from app.jobs.options import TaskOptions
from app.jobs.registry import task_from
from app.jobs.runner import Attempt, Interruption, Limits, Outcome
from app.scheduler import BackgroundTaskScheduler, Status

NOW = 1_700_000_000_000

RETRIES = TaskOptions(retries=1)

LIMITS = Limits(max_result_size=100, now=lambda: NOW, random=lambda: 0.5)
"""Every jitter is half of its bound."""

JOB = Job(
    id=UUID("0199d2a0-7b1c-7000-8f3e-2a41c07de512"),
    task="work",
    status=Status.RUNNING,
    version=1,
    params=b"{}",
    run_at=NOW,
    attempt=1,
)


class Notebook:
    """Keeps what a job says about itself."""

    def __init__(self) -> None:
        self.shown: list[Progress] = []
        self.lines: list[str] = []

    def progress(self, progress: Progress) -> None:
        self.shown.append(progress)

    def log(self, message: str) -> None:
        self.lines.append(message)


class Started:
    """One attempt that runs in a scheduler, and every outcome that it reports."""

    def __init__(
        self,
        scheduler: BackgroundTaskScheduler,
        function: Callable[..., Coroutine[Any, Any, Any]],
        options: TaskOptions | None = None,
        **job: Any,
    ) -> None:
        options = options or TaskOptions()
        self.outcomes: list[Outcome] = []
        self.notebook = Notebook()
        self._ended = asyncio.Event()
        self.task = task_from(function, options)
        self.job = replace(JOB, **({"max_attempts": self.task.max_attempts} | job))
        self.attempt = Attempt(self.task, self.job, self.notebook, LIMITS, self._on_outcome)
        self.attempt.start(scheduler)

    async def outcome(self) -> Outcome:
        """The one outcome, once the coroutine has ended and everything else had its turn."""
        await self._ended.wait()
        await turns()
        [outcome] = self.outcomes
        return outcome

    def _on_outcome(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._ended.set()


async def interrupted(
    scheduler: BackgroundTaskScheduler,
    function: Callable[..., Coroutine[Any, Any, Any]],
    reason: Interruption,
    **job: Any,
) -> Started:
    """An attempt that was interrupted while it waited; one more is left by default."""
    started = Started(scheduler, function, RETRIES, **job)
    await turns()
    assert started.attempt.interrupt(reason)
    assert started.attempt.interruption is reason
    return started


async def turns(count: int = 5) -> None:
    """Let everything that is ready run, without time going on."""
    for _ in range(count):
        await asyncio.sleep(0)
