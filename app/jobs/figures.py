"""The figures of an engine: what operators look at, and what a wait is predicted from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from app.jobs.models import Millis
from app.jobs.observer import Commits, Observer
from app.scheduler import Status

Kind: TypeAlias = tuple[str | None, str, Status]
"""What jobs are counted by: owner, task and status."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """The seconds that half, nine in ten and 99 in a hundred attempts stayed below."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True, slots=True)
class Period:
    """The jobs that ended within one period, which begins at `start`."""

    start: Millis
    ended: Mapping[Status, int]
    durations: Quantiles | None


@dataclass(frozen=True, slots=True)
class TaskFigures:
    """How many jobs of a task there are by status, and how long its last ones ran."""

    jobs: Mapping[Status, int]
    durations: Quantiles | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """An engine at a glance. Periods are counted from the start of the process on."""

    engine: str
    workers: int
    since: Millis
    jobs: Mapping[Status, int]
    slots: int
    slots_taken: int
    oldest_pending: Millis | None
    """When the pending job that was submitted first was."""
    loop_lag: float
    """Seconds that the event loop was last late by."""
    loop_blocked: int
    """How often the event loop was blocked for a second or more."""
    loop_blocked_seconds: float
    """For how long in all."""
    minutes: Sequence[Period]
    quarter_hours: Sequence[Period]
    tasks: Mapping[str, TaskFigures]
    observer: Observer
    """Of everybody's jobs."""
    commits: Commits
