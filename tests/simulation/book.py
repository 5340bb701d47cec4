"""A history, sorted by job: what the promises are checked against."""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple
from uuid import UUID

from app.engines.embedded.changes import Cancelled
from app.jobs.models import Job, Millis
from app.scheduler import Status
from tests.simulation.history import (
    Answered,
    Began,
    Called,
    Calm,
    Committed,
    Event,
    Fault,
    Finished,
    History,
    Interrupted,
    Opening,
    Streamed,
)

SOON: Final = 2.0
"""Seconds within which all is as before, once what went wrong is sound again."""


class At(NamedTuple):
    """Where in the history something stands."""

    number: int
    time: float
    wall: Millis
    life: int


class Shown(NamedTuple):
    """A job as somebody was shown it; `fresh` if it was read at that very moment."""

    at: At
    job: Job
    fresh: bool


class Call(NamedTuple):
    """A call of a client, and its answer if there was one before the process ended."""

    called: At
    what: Called
    at: At
    answer: Answered


@dataclass(slots=True)
class Story:
    """What is known of one job."""

    accepted: list[tuple[Call, Job]] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    started: dict[int, At] = field(default_factory=dict)
    """When the start of each attempt was seen to be committed."""
    began: list[tuple[At, int]] = field(default_factory=list)
    interrupted: list[tuple[At, int]] = field(default_factory=list)
    finished: dict[int, tuple[At, Finished]] = field(default_factory=dict)
    cancels: list[tuple[Call, Job]] = field(default_factory=list)
    cancel_asked: bool = False
    ends: list[Millis] = field(default_factory=list)
    """When it ended, by the wall clock, as far as anybody knows."""
    final: Job | None = None

    def first_steps(self) -> dict[int, At]:
        """Of each attempt that took one."""
        return {attempt: at for at, attempt in self.began}


class Book:
    """The jobs, the calls, the lives and the faults of a history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.stories: defaultdict[UUID, Story] = defaultdict(Story)
        self.calls: list[Call] = []
        self.openings: list[tuple[At, Opening]] = []
        self.streams: defaultdict[int, list[tuple[At, Streamed]]] = defaultdict(list)
        self.calm: Calm | None = None
        self.unsound: list[tuple[float, float]] = []
        """From when to when something was wrong, also that a process was closing."""
        self.faults: set[str] = set()
        """What has gone wrong at any time."""
        self.ended: dict[int, At] = {}
        """The last moment of each life."""
        self.closing: dict[int, At] = {}
        self.stops: defaultdict[int, list[float]] = defaultdict(list)
        """When each life was told to drain, and when to close."""
        self.latest_wall = list(accumulate((event.wall for event in history.events), max))
        self._waiting: dict[int, tuple[At, Called]] = {}
        self._wrong: dict[str, float] = {}
        for number, event in enumerate(history.events):
            self._read(At(number, event.time, event.wall, event.life), event)
        self.unsound += [(begin, float("inf")) for begin in self._wrong.values()]

    def is_expired(self, story: Story, at: At) -> bool:
        """Whether the job may have been removed by then, by its age."""
        due = self.latest_wall[at.number] - self.history.retention
        return any(end <= due for end in story.ends)

    def is_sound(self, begin: float, end: float) -> bool:
        """Whether nothing was wrong meanwhile, nor just before."""
        return not any(b <= end and begin <= e + SOON for b, e in self.unsound)

    def was_written(self, life: int, time: float) -> bool:
        """Whether what ended at that time of a life had time enough to be written in it."""
        end = self.closing.get(life, self.ended[life]).time
        sound_since = max((e for b, e in self.unsound if b < end), default=time)
        return max(time, sound_since) + SOON + 1 <= end

    def _read(self, at: At, event: Event) -> None:
        if at.life not in self.ended:
            self._end_faults(self.ended.get(at.life - 1, at))
        self.ended[at.life] = at
        match event.what:
            case Opening() | Calm():
                self._read_state(at, event.what)
            case Fault(kind, mended):
                self._read_fault(at, kind, mended)
            case Called() | Answered():
                self._read_call(at, event.what)
            case Committed():
                self._read_commit(at, event.what)
            case Streamed():
                self._read_stream(at, event.what)
            case Began() | Interrupted() | Finished():
                self._read_evidence(at, event.what)
            case _:
                pass

    def _read_stream(self, at: At, event: Streamed) -> None:
        self.streams[event.stream].append((at, event))
        if event.job is not None:
            self._show(at, event.job, fresh=False)

    def _read_state(self, at: At, state: Opening | Calm) -> None:
        if isinstance(state, Opening):
            self.openings.append((at, state))
            for job_id, row in state.rows.items():
                if row.finished_at is not None:
                    self.stories[job_id].ends.append(row.finished_at)
            return
        self.calm = state
        for job in state.jobs.values():
            self._show(at, job, fresh=True)
            self.stories[job.id].final = job

    def _read_evidence(self, at: At, evidence: Began | Interrupted | Finished) -> None:
        story = self.stories[evidence.job_id]
        match evidence:
            case Began(_, attempt):
                story.began.append((at, attempt))
            case Interrupted(_, attempt):
                story.interrupted.append((at, attempt))
            case Finished(_, attempt):
                story.finished[attempt] = (at, evidence)

    def _read_call(self, at: At, event: Called | Answered) -> None:
        if isinstance(event, Answered):
            self._read_answer(Call(*self._waiting.pop(event.call), at, event))
            return
        self._waiting[event.call] = (at, event)
        if event.what == "cancel" and event.job_id is not None:
            self.stories[event.job_id].cancel_asked = True

    def _read_answer(self, call: Call) -> None:
        self.calls.append(call)
        for job in call.answer.jobs:
            story = self.stories[job.id]
            self._show(call.at, job, fresh=call.what.what in ("get", "list", "wait"))
            if call.what.what == "submit":
                story.accepted.append((call, job))
            elif call.what.what == "cancel":
                story.cancels.append((call, job))

    def _read_commit(self, at: At, change: Committed) -> None:
        if change.job_id is None:
            return
        story, result = self.stories[change.job_id], change.result
        if isinstance(result, Cancelled):
            result = result.status
        if isinstance(result, Job):
            story.started[result.attempt] = at
        elif change.kind == "insert" and result is Status.RUNNING:
            story.started[1] = at
        elif isinstance(result, Status) and result.finished and change.at is not None:
            story.ends.append(change.at)

    def _read_fault(self, at: At, kind: str, mended: bool) -> None:
        if mended:
            self._close_window(kind, at.time)
        else:
            if kind in ("close", "drain"):
                self.closing.setdefault(at.life, at)
                self.stops[at.life].append(at.time)
            else:
                self.faults.add(kind)
            self._wrong.setdefault(kind, at.time)

    def _end_faults(self, last: At) -> None:
        """What was wrong has ended with its process."""
        for kind in list(self._wrong):
            self._close_window(kind, last.time)

    def _close_window(self, kind: str, time: float) -> None:
        if kind in self._wrong:
            self.unsound.append((self._wrong.pop(kind), time))

    def _show(self, at: At, job: Job, *, fresh: bool) -> None:
        story = self.stories[job.id]
        story.shown.append(Shown(at, job, fresh))
        if job.finished_at is not None:
            story.ends.append(job.finished_at)
