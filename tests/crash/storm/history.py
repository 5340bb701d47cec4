"""What was seen of a storm from outside: the answers, the evidence of the tasks, and the stops.

Instants are nanoseconds of the monotonic clock, which all processes of a machine share.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

Job = Mapping[str, Any]

How = Literal["submit", "replay", "cancel", "read", "list", "last"]


@dataclass(frozen=True, slots=True)
class Sight:
    """A job as one answer showed it: the request left when it was `asked`, the answer came `at`."""

    asked: int
    at: int
    how: How
    job: Job
    tag: str = ""
    body: bytes = b""
    """The whole representation; empty in a list."""
    sent: Mapping[str, Any] | None = None
    """The body of a submission."""
    key: str = ""

    @property
    def place(self) -> tuple[int, int]:
        """How far its life had come: grows, whatever happens."""
        rank = {"running": 0, "pending": 1}.get(self.job["status"], 2)
        return self.job["attempt"], rank

    @property
    def version(self) -> int:
        """The number of its last change; 0 where the answer does not say."""
        return int(self.tag.strip('"') or 0)


@dataclass(frozen=True, slots=True)
class Missing:
    """A job that a GET did not find."""

    job_id: str
    at: int
    status: int


@dataclass(frozen=True, slots=True)
class Promise:
    """A cancel that was acknowledged by an answer of which only the head, a 202, came through."""

    job_id: str
    at: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of evidence."""

    at: int
    job_id: str
    attempt: int
    what: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """An end of the server: from `begun` to `over` it may have been alive or not.

    `since` and `until` are the same instants by the wall clock, in seconds.
    """

    kind: str
    begun: int
    over: int
    since: float = 0.0
    until: float = 0.0


@dataclass
class History:
    """Everything that was seen."""

    sights: list[Sight] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def lives(self) -> list["Life"]:
        """The history of each job that any answer showed, in the order in which they came up."""
        sights: dict[str, list[Sight]] = defaultdict(list)
        lines: dict[str, list[Line]] = defaultdict(list)
        for sight in self.sights:
            sights[sight.job["id"]].append(sight)
        for line in self.lines:
            lines[line.job_id].append(line)
        missing = {one.job_id: one for one in self.missing}
        promised = {one.job_id: one.at for one in self.promises}
        return [
            Life(
                *(job_id, seen, lines[job_id], self.stops),
                missing=missing.get(job_id),
                promised_at=promised.get(job_id),
            )
            for job_id, seen in sights.items()
        ]


@dataclass
class Life:
    """What was seen of one job."""

    job_id: str
    sights: list[Sight]
    lines: list[Line]
    stops: list[Stop]
    missing: Missing | None = None
    promised_at: int | None = None

    @cached_property
    def last(self) -> Sight | None:
        """What the last reading showed."""
        return next((sight for sight in self.sights if sight.how == "last"), None)

    @cached_property
    def whole(self) -> list[Sight]:
        """The sights of the whole job: lists leave some of it out."""
        return [sight for sight in self.sights if sight.body]

    @cached_property
    def cancelled_at(self) -> int | None:
        """When the first DELETE was answered that a cancel is on record, or the job cancelled.

        A reading may show a cancel that is durable before the coroutine hears of it.
        """
        shown = (s for s in self.sights if s.how == "cancel" or s.job["status"] == "cancelled")
        times = [sight.at for sight in shown if sight.job["cancel_requested_at"]]
        times += [] if self.promised_at is None else [self.promised_at]
        return min(times, default=None)

    def told(self, what: str, attempt: int | None = None) -> list[Line]:
        """The evidence of one kind, of one attempt or of all."""
        return [
            line for line in self.lines if line.what == what and attempt in (None, line.attempt)
        ]

    def ended(self, attempt: int) -> Line | None:
        """The evidence that the coroutine of an attempt ended, however it did."""
        ends = self.told("returned", attempt) + self.told("raised", attempt)
        return ends[0] if ends else None

    def cut_off(self, line: Line) -> bool:
        """Whether the server ended after a line of evidence, and before its attempt was over."""
        if self.last is None or len(self.last.job["attempts"]) < line.attempt:
            return False
        until = self.last.job["attempts"][line.attempt - 1]["finished_at"]
        over = seconds_of(until) + 0.002 if until else float("inf")
        return any(stop.over >= line.at and stop.since <= over for stop in self.stops)

    def stopped_between(self, since: str, until: str) -> bool:
        """Whether the server ended between two times of the wall clock."""
        first, last = seconds_of(since) - 0.002, seconds_of(until) + 0.002
        return any(stop.since <= last and first <= stop.until for stop in self.stops)


def seconds_of(time: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(time).timestamp()


def read_evidence(path: Path) -> Iterable[Line]:
    """The lines of an evidence file."""
    if not path.exists():
        return
    for text in path.read_text().splitlines():
        at, job_id, attempt, what, value = text.split("\t")
        yield Line(int(at), job_id, int(attempt), what, value)


def parsed(body: bytes) -> Job:
    """A job from the bytes of an answer."""
    job: Job = json.loads(body)
    return job
