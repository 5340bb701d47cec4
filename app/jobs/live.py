"""What memory holds of a job that has not finished; everything else stands in the store."""

from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.jobs.events import LogLine
from app.jobs.models import Job, Millis, Progress
from app.jobs.runner import Attempt
from app.jobs.stack import StackFrame, await_chain
from app.jobs.texts import clipped

MAX_LINES: Final = 200
"""Log lines that are kept of one job."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What a coroutine's reports need: the time, and who is told that there is news."""

    now: Callable[[], Millis]
    heard: Callable[[UUID], None]


class LiveJob:
    """A pending or running job. It receives what the coroutine says about its progress."""

    __slots__ = (
        "_speech",
        "asking",
        "attempt",
        "has_secrets",
        "has_webhook",
        "id",
        "is_ending",
        "last_progress",
        "lines",
        "number",
        "owner",
        "priority",
        "run_at",
        "start_by",
        "started_at",
        "task",
    )

    def __init__(self, job: Job, speech: "Speech") -> None:
        self.id: UUID = job.id
        self.task = job.task
        self.owner = job.owner
        self.priority = job.priority
        self.run_at: Millis = job.run_at
        self.start_by = job.start_by if job.attempt == 0 else None
        """When it is too late for its first start; None without a limit, and once it started."""
        self.number = job.attempt
        """Of the last attempt that was started, 0 before the first."""
        self.started_at = job.started_at
        """When that attempt did."""
        self.is_ending = False
        """Whether how its attempt has ended is on its way to the store."""
        self.asking: list[Future[None]] | None = None
        """Those who wait until it is there."""
        self.has_secrets = True
        """Whether the store may hold secrets of it."""
        self.has_webhook = job.webhook is not None
        """Whether somebody may want to be told of its end."""
        self.attempt: Attempt | None = None
        """The attempt that runs now."""
        self.last_progress: Progress | None = None
        self.lines: deque[LogLine] | None = None
        """Its last log lines; None before the first."""
        self._speech = speech

    def progress(self, progress: Progress) -> None:
        """Keep the latest progress; it is shown, not stored."""
        self.last_progress = progress
        self._speech.heard(self.id)

    def frames(self) -> tuple[StackFrame, ...] | None:
        """Where its coroutine awaits; None when none is running."""
        coroutine = None if self.attempt is None else self.attempt.coroutine
        return None if coroutine is None else await_chain(coroutine)

    def settled(self) -> None:
        """How its attempt has ended is in the store: let go who has waited for that."""
        asking, self.asking, self.is_ending = self.asking, None, False
        for asks in asking or ():
            if not asks.done():
                asks.set_result(None)

    def keep(self, lines: Iterable[LogLine]) -> None:
        """Go on from the lines that the store has."""
        self.lines = deque(lines, maxlen=MAX_LINES)

    def log(self, message: str) -> None:
        """Keep one log line, with those before it as far as there is room."""
        if self.lines is None:
            self.lines = deque(maxlen=MAX_LINES)
        lines = self.lines
        number = lines[-1].number + 1 if lines else 1
        lines.append(LogLine(number, self._speech.now(), self.number, clipped(message)))
        self._speech.heard(self.id)
