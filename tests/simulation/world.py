"""One simulation: lives of the engine on one journal, until everything has come to rest."""

import asyncio
import shutil
from collections import Counter
from contextvars import Context
from math import ceil
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID

import apsw

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.commit import Connect, Post
from app.engines.embedded.config import EmbeddedConfig
from app.jobs.errors import StartUpError, StoreUnavailable
from app.jobs.ids import from_halves
from app.jobs.models import Millis
from app.jobs.stored import STATUSES
from app.scheduler import Status
from tests.simulation.clients import Client, follow, jobs_of
from tests.simulation.endings import connected, dispose, quiet
from tests.simulation.faults import Faults
from tests.simulation.history import (
    Began,
    Calm,
    Defect,
    Ended,
    Event,
    Fault,
    Finished,
    History,
    Interrupted,
    Opened,
    Opening,
    Reopened,
    Rested,
    Row,
    What,
)
from tests.simulation.loop import TICK, Crash, SimulatedLoop
from tests.simulation.plan import Life, plan_of
from tests.simulation.tasks import REGISTRY, evidence, without
from tests.simulation.writer import SimulatedWriter
from tests.support.disk import Disk

EPOCH: Final[Millis] = 1_800_000_000_000
REST: Final = 3_000
"""Seconds within which everything comes to rest."""

_CALM: Final = Life(
    ticks=0,
    ending="close",
    crash_at="turn",
    crash_in=0,
    power_loss=False,
    down=1,
    mishaps=(),
    missing=None,
    clients=0,
)
_ROWS: Final = (
    "SELECT high, low, version, status, attempt, cancel_requested_at, finished_at FROM jobs"
)


class World:
    """What outlives the processes: time, the disk, the evidence, what clients know."""

    def __init__(self, seed: int, folder: Path, template: Path) -> None:
        self.plan = plan_of(Random(f"{seed} plan"))
        self.chance = Random(f"{seed} world")
        self.history = History(
            max_running=self.plan.max_running,
            retention=round(self.plan.retention * 1000),
            shutdown_grace=self.plan.shutdown_grace,
            max_pending=self.plan.max_pending,
        )
        self.covered: Counter[str] = Counter()
        self.known: dict[UUID, int] = {}
        self.position: int | None = None
        self.followed: dict[UUID, tuple[int, Status]] = {}
        self._folder = folder
        self._calls = 0
        self._time = 0.0
        self._clock_set_by = 0.0
        self._life = 0
        self._loop: SimulatedLoop | None = None
        self._writer: SimulatedWriter | None = None
        self._faults: Faults | None = None
        self._running: set[tuple[UUID, int]] = set()
        shutil.copytree(template, folder / "0")

    def run(self) -> History:
        """Live through the plan, then through a life or two in which nothing goes wrong."""
        with quiet(lambda text: self.note(Defect(text))):
            for life in (*self.plan.lives, _CALM):
                self._live(life)
            if self.chance.random() < 0.4:
                self._live(_CALM)
        return self.history

    def note(self, what: What) -> None:
        """Add to the history; a process that has crashed says no more."""
        faults = self._faults
        if faults is None or faults.image is None:
            self.history.events.append(Event(self._now(), self.wall(), self._life, what))

    def cover(self, name: str) -> None:
        """Count that something happened that the simulation is there for."""
        self.covered[name] += 1

    def next_call(self) -> int:
        """A number for a call."""
        self._calls += 1
        return self._calls

    def set_clock(self, seconds: float) -> None:
        """Set the wall clock forward, or back."""
        self._clock_set_by += seconds

    def stall(self) -> float:
        """The time before which the writer does nothing."""
        return 0.0 if self._faults is None else self._faults.stall()

    def wall(self) -> Millis:
        """The wall clock."""
        return EPOCH + round((self._clock_set_by + self._now()) * 1000)

    def began(self, job_id: UUID, attempt: int) -> None:
        """A coroutine takes its first step."""
        self.note(Began(job_id, attempt))
        self._running.add((job_id, attempt))

    def interrupted(self, job_id: UUID, attempt: int) -> None:
        """`CancelledError` reaches it."""
        self.note(Interrupted(job_id, attempt))

    def ended(self, job_id: UUID, attempt: int, how: str, value: object) -> None:
        """It has returned or raised."""
        self.note(Finished(job_id, attempt, how, value))
        self._running.discard((job_id, attempt))

    def make_writer(self, connect: Connect, post: Post) -> SimulatedWriter:
        """The writer of a new process, which has not written anything yet."""
        db = connect()
        rows: list[tuple[Any, ...]] = db.execute(_ROWS).fetchall()
        self.note(Opening({from_halves(r[0], r[1]): _row(r) for r in rows}))
        db.close()
        self._writer = SimulatedWriter(connect, post, self.chance, self)
        return self._writer

    def _now(self) -> float:
        return self._time if self._loop is None else self._loop.time()

    def _live(self, life: Life) -> None:
        self._life += 1
        self._running.clear()
        connections: list[apsw.Connection] = []
        loop = self._loop = SimulatedLoop(self.chance, self._time, self.plan.disorder)
        engine = self._engine(life)
        with Disk(self._folder, checkpoint_every=1 << 30) as disk, connected(connections.append):
            disk.folder = self._folder / str(self._life - 1)
            faults = self._faults = Faults(self, self.plan, life, disk, loop)
            how = self._run(loop, engine, life)
            if faults.image is None:
                self.note(Ended(how))
                faults.take_image()
            dispose(loop, engine, connections)
            faults.close()
        self._time = (ceil(loop.time() / TICK) + life.down) * TICK
        self._loop = self._faults = self._writer = None
        assert faults.image is not None
        faults.image.rename(self._folder / str(self._life))
        shutil.rmtree(disk.folder)

    def _run(self, loop: SimulatedLoop, engine: EmbeddedEngine, life: Life) -> str:
        try:
            loop.run_until_complete(self._work(engine, life))
        except Crash:
            self._look_at_crash()
            return "crash"
        return "close"

    def _engine(self, life: Life) -> EmbeddedEngine:
        context = Context()
        context.run(evidence.set, self)
        config = EmbeddedConfig(
            folder=self._folder / str(self._life - 1),
            max_running=self.plan.max_running,
            max_pending=self.plan.max_pending,
            max_store_size=self.plan.max_store_size,
            retention=self.plan.retention,
            unknown_task_after=self.plan.unknown_task_after,
            shutdown_grace=self.plan.shutdown_grace,
            housekeeping_every=1.0,
            cancel_grace=0.5,
            now=self.wall,
            random=self.chance,
            watch_loop=False,
            make_writer=self.make_writer,
            context=context,
        )
        return EmbeddedEngine(without(life.missing) if life.missing else REGISTRY, config)

    async def _work(self, engine: EmbeddedEngine, life: Life) -> None:
        assert self._faults is not None
        self._faults.arm("start")
        try:
            await engine.__aenter__()
        except StartUpError as error:
            self.note(Defect(f"it does not start: {error}"))
            return
        self.note(Opened())
        self._faults.begin()
        if life is _CALM:
            await self._calm(engine)
        else:
            await self._be_used(engine, life)
        self.note(Fault("close"))
        self._faults.arm("close")
        await engine.__aexit__(None, None, None)

    async def _be_used(self, engine: EmbeddedEngine, life: Life) -> None:
        clients = [Client(engine, self, self.chance).act() for _ in range(life.clients)]
        users = [asyncio.create_task(user) for user in (*clients, self._follow(engine))]
        for user in users:
            user.add_done_callback(self._look_at_user)
        await asyncio.sleep(life.ticks * TICK)
        if life.ending == "rest" and life.missing is None:
            for user in users:
                user.cancel()
            await self._rest(engine)
            self.cover("rest after faults" if life.mishaps else "rest")
            there = Counter(job.status for job in await jobs_of(engine))
            figures = await engine.figures()
            self.note(Rested(there, figures.jobs, figures.slots_taken))
            return
        if self.chance.random() < 0.5:
            self.note(Fault("drain"))
            engine.drain()
            await asyncio.sleep(self.chance.randrange(8) * TICK)
        if self.chance.random() < 0.6:
            users += [asyncio.create_task(Client(engine, self, self.chance).stop_all())]
        asyncio.get_running_loop().call_later(2.0, lambda: [user.cancel() for user in users])

    async def _follow(self, engine: EmbeddedEngine) -> None:
        if late := self.chance.choice((0, 0, 30)):
            await asyncio.sleep(late * TICK)
        await follow(engine, self)

    def _look_at_user(self, user: "asyncio.Task[None]") -> None:
        error = None if user.cancelled() else user.exception()
        too_late = isinstance(error, StoreUnavailable) and str(error) == "the journal is closed"
        if error is not None and not too_late:
            self.note(Defect(f"a client met {error!r}"))

    async def _rest(self, engine: EmbeddedEngine) -> None:
        """Return when nothing is left to do."""
        assert self._writer is not None
        async with asyncio.timeout(REST):
            rests = 0
            while rests < 2:  # once more, so that those who follow know all
                await asyncio.sleep(0.53)  # at times of its own, when nothing else happens
                health = engine.health()
                busy = health.pending or health.running or self._writer.busy
                rests = 0 if busy else rests + 1

    async def _calm(self, engine: EmbeddedEngine) -> None:
        follower = asyncio.create_task(follow(engine, self))
        follower.add_done_callback(self._look_at_user)
        await self._rest(engine)
        jobs = {job.id: await engine.get(job.id) for job in await jobs_of(engine)}
        if any(isinstance(event.what, Calm) for event in self.history.events):
            self.note(Reopened(jobs))
        else:
            figures = await engine.figures()
            self.note(Calm(jobs, figures.jobs, figures.slots_taken, dict(self.followed)))

    def _look_at_crash(self) -> None:
        faults, writer = self._faults, self._writer
        assert faults is not None
        self.cover(f"crash: {faults.phase}")
        for spied in writer.unanswered if writer else ():
            self.cover(f"crash before the answer to {spied.kind}")


def _row(row: tuple[Any, ...]) -> Row:
    _, _, version, status, attempt, cancelled, finished_at = row
    return Row(version, STATUSES[status], attempt, cancelled is not None, finished_at)
