"""The journal's writer without its thread: it commits at times that a seed draws."""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Final, Protocol
from uuid import UUID

import apsw

from app.engines.embedded.batch import Write
from app.engines.embedded.changes import Cancelled, Fail, Insert, RequestCancel, Start
from app.engines.embedded.commit import Call, Connect, GroupCommit, Post
from app.engines.embedded.ends import Finish
from app.jobs.errors import StoreUnavailable
from app.jobs.observer import Commits
from app.scheduler import Status, Step
from tests.simulation.history import Committed, Told, What
from tests.simulation.loop import TICK

DELAYS: Final = (0, 0, 0, 1, 1, 2, 4)
"""Ticks until a commit, and from a commit until it is answered."""


class Notes(Protocol):
    """Who keeps the history, and what was covered."""

    def note(self, what: What) -> None: ...
    def cover(self, name: str) -> None: ...
    def stall(self) -> float: ...


class SimulatedWriter:
    """Drives a `GroupCommit` as the writer does: batch after batch, answers in order.

    Between the changes of a batch and its commit the event loop may turn.
    """

    def __init__(self, connect: Connect, post: Post, chance: Random, notes: Notes) -> None:
        self._commit = GroupCommit(connect, self._answer_later)
        self._post = post
        self._chance = chance
        self._notes = notes
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Write[Any]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._outbox: deque[Call] = deque()
        self._ended: Call | None = None
        self._is_writing = False
        """Whether changes are made that are not committed."""
        self.ran: list[Spied] = []
        """The changes of the transaction that is being made."""
        self.unanswered: list[Spied] = []
        """The changes that are committed, and that the engine does not know of yet."""

    @property
    def commits(self) -> Commits:
        return self._commit.commits

    @property
    def error(self) -> str | None:
        return self._commit.error

    @property
    def busy(self) -> bool:
        """Whether anything is on its way."""
        on_its_way = self._queue or self._is_writing or self._outbox or self.unanswered
        return bool(on_its_way) or self.error is not None

    def start(self) -> None:
        pass

    def put(self, write: Write[Any]) -> None:
        spied = Spied(write, self)
        self._queue.append(Write(spied, spied.then, spied.refused if write.refused else None))
        self._write_in(self._delay())

    def hurry(self) -> None:
        pass  # the times are drawn, whoever waits

    def close(self, ended: Call) -> None:
        self._ended = ended
        self._write_in(self._delay())

    def told(self, spied: "Spied") -> None:
        """The engine has been told of a change."""
        if spied in self.unanswered:
            self.unanswered.remove(spied)
        self._notes.note(
            Told(spied.kind, spied.job_id, spied.version, spied.changed, spied.is_done)
        )

    def found(self, *, made: bool) -> None:
        """The fate of a change was read back."""
        self._notes.cover(f"unknown fate: it {'happened' if made else 'did not happen'}")

    def _delay(self) -> float:
        return self._chance.choice(DELAYS) * TICK

    def _write_in(self, delay: float) -> None:
        if self._is_writing:  # what comes of it goes on with what is queued
            return
        when = max(self._loop.time() + delay, self._notes.stall())
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._write)

    def _write(self) -> None:
        self._timer = None
        count = len(self._queue)
        if count > 1 and self._chance.random() < 0.3:
            count = self._chance.randrange(1, count + 1)
        batch = [self._queue.popleft() for _ in range(count)]
        if not batch and self.error is None:
            self._go_on()
            return
        self.ran.clear()
        if not self._commit.opens_at_once():
            self._commit.write(batch)
            self._written()
        elif self._commit.begin(batch):
            self._is_writing = True
            self._loop.call_later(self._delay(), self._sync)
        else:
            self._written()

    def _sync(self) -> None:
        self._is_writing = False
        self._commit.commit()
        self._written()

    def _written(self) -> None:
        self._look_at_batch()
        self._go_on()

    def _go_on(self) -> None:
        if self._queue:
            self._write_in(self._delay())
        elif self._ended is not None and (self.error is None or self._commit.gives_up):
            self._commit.close()
            self._answer_later(self._ended)
        elif self._commit.pause is not None:
            self._write_in(self._commit.pause)

    def _look_at_batch(self) -> None:
        failed = self._commit.error is not None
        for spied in self.ran:
            if failed:
                self._notes.cover(f"store fails at {spied.kind}")
            else:
                self.committed(spied)
        if not failed:
            self._look_at_pairs()

    def committed(self, spied: "Spied") -> None:
        """A change is durable."""
        self.unanswered.append(spied)
        self._notes.note(Committed(spied.kind, spied.job_id, spied.result, spied.at))
        for name in spied.meetings():
            self._notes.cover(name)

    def _look_at_pairs(self) -> None:
        """Which changes of one job were made in one transaction, in which order."""
        last: dict[UUID, str] = {}
        for spied in self.ran:
            if spied.job_id is not None:
                if before := last.get(spied.job_id):
                    self._notes.cover(f"one commit: {before}, then {spied.kind}")
                last[spied.job_id] = spied.kind

    def _answer_later(self, call: Call) -> None:
        self._outbox.append(call)
        self._loop.call_later(self._delay(), self._answer)

    def _answer(self) -> None:
        self._post(self._outbox.popleft())


class Spied:
    """A change, and what came of it."""

    def __init__(self, write: Write[Any], writer: SimulatedWriter) -> None:
        self._write = write
        self._writer = writer
        change = write.change
        self.change = change
        self.kind = type(change).__name__.lower()
        self.job_id: UUID | None = getattr(change, "job_id", None)
        self.version: int = change.row[2] if isinstance(change, Insert) else _version_of(change)
        self.at: int | None = getattr(getattr(change, "ended", change), "at", None)
        self.result: Any = None

    @property
    def changed(self) -> bool:
        """Whether it certainly changed its job; a cancel may have come again."""
        return self.result is not None and isinstance(self.change, Start | Finish | Fail)

    @property
    def is_done(self) -> bool:
        """Whether the job had ended after it."""
        result = self.result.status if isinstance(self.result, Cancelled) else self.result
        return isinstance(result, Status) and result.finished

    def run(self, db: apsw.Connection) -> Any:
        self.result = self.change.run(db)
        self._writer.ran.append(self)
        return self.result

    def happened(self, db: apsw.Connection) -> Any:
        found = self.result = self.change.happened(db)
        self._writer.found(made=found is not None)
        if found is not None:
            self._writer.committed(self)
        return found

    def then(self, answer: Any) -> None:
        self._writer.told(self)
        self._write.then(answer)

    def refused(self, error: StoreUnavailable) -> None:
        refused: Callable[[StoreUnavailable], None] | None = self._write.refused
        assert refused is not None
        refused(error)

    def meetings(self) -> list[str]:
        """What this change met of another one that was quicker."""
        match self.change, self.result:
            case Start(), None:
                return ["a start that comes too late"]
            case Fail(), None:
                return ["an expiry that comes too late"]
            case Fail(), Status():
                return ["expiry"]
            case Finish(ended=ended), Status.CANCELLED if ended.outcome.step is not Step.CANCEL:
                return [f"a cancel before the outcome {ended.outcome.step}"]
            case Finish(), Status() as status:
                return [f"outcome {status}"]
            case RequestCancel(), Cancelled(matched=False):
                return ["a cancel of another version"]
            case RequestCancel(), Cancelled(status=status):
                return [f"a cancel that met or made {status}"]
        return []


def _version_of(change: object) -> int:
    version = getattr(change, "version", 0)
    assert isinstance(version, int)
    return version
