"""What goes wrong in one life: at the disk, with the clock, and its end."""

from pathlib import Path
from random import Random
from typing import Final, Protocol

import apsw

from tests.simulation.history import Fault, What
from tests.simulation.loop import TICK, SimulatedLoop
from tests.simulation.plan import Life, Mishap, Plan
from tests.support.disk import Disk, Operation, ShortWrite, full, io_error

ONCE: Final = {"write fails": "write", "sync fails": "sync", "truncate fails": "truncate"}
STALLS: Final = {"stall": 16, "long stall": 100}
"""Ticks for which the writer does nothing; the long one outlasts the patience of callers."""


class World(Protocol):
    """What the faults reach beside the disk."""

    chance: Random

    def note(self, what: What) -> None: ...
    def cover(self, name: str) -> None: ...
    def set_clock(self, seconds: float) -> None: ...


class Faults:
    """The mishaps of a life. Its disk calls `before`."""

    def __init__(
        self, world: World, plan: Plan, life: Life, disk: Disk, loop: SimulatedLoop
    ) -> None:
        self._world = world
        self._life = life
        self._disk = disk
        self._loop = loop
        self._chance = world.chance
        self._checkpoint_every = plan.checkpoint_every
        self._crash_in = 0
        self._crashing = False
        self._going_on: dict[str, int] = {}
        self._stalled_until = 0.0
        self.image: Path | None = None
        """Where the disk is found after the crash, once there was one."""
        self.phase = "start"
        disk.before = self._before
        apsw.connection_hooks.append(self._connected)

    def close(self) -> None:
        """Let later connections be."""
        apsw.connection_hooks.remove(self._connected)

    def arm(self, phase: str) -> None:
        """A phase of the life begins; it may be the one in which the process crashes."""
        self.phase = phase
        if self._life.ending != {"start": "crash at start", "close": "crash at close"}.get(phase):
            return
        self._arm()

    def begin(self) -> None:
        """Let the mishaps come at their times."""
        self.phase = "work"
        for mishap in self._life.mishaps:
            self._loop.call_later(mishap.at * TICK, self._happen, mishap)
        if self._life.ending == "crash":
            self._loop.call_later(self._chance.randrange(self._life.ticks) * TICK, self._arm)

    def stall(self) -> float:
        """The loop's time before which the writer does nothing."""
        return self._stalled_until

    def take_image(self) -> None:
        """The process has ended; the disk stays as it is now, or as a loss of power leaves it."""
        self.image = self._disk.folder.with_name(f"{self._disk.folder.name}'")
        power_loss = self._chance if self._life.power_loss else None
        end = "crash" if self._loop.ready.crash_at or self._crashing else "close"
        self._world.cover(f"{end} with {'loss of power' if power_loss else 'all writes'}")
        self._disk.image(self.image, power_loss=power_loss)
        self._disk.crash()
        self._loop.ready.crash()

    def _arm(self) -> None:
        if self._life.crash_at == "turn":
            ready = self._loop.ready
            ready.crash_at = ready.turns + self._life.crash_in
        else:
            self._crash_in = self._life.crash_in

    def _happen(self, mishap: Mishap) -> None:
        self._world.note(Fault(mishap.kind))
        ticks = mishap.ticks
        if mishap.kind in STALLS:
            ticks = STALLS[mishap.kind]
            self._stalled_until = self._loop.time() + ticks * TICK
            self._world.cover(f"fault: {mishap.kind}")
        elif mishap.kind.startswith("clock"):
            self._world.set_clock(ticks if mishap.kind == "clock forward" else -ticks)
            self._world.cover(f"fault: {mishap.kind}")
        else:
            self._going_on[mishap.kind] = mishap.ticks
        self._loop.call_later(ticks * TICK, self._mend, mishap.kind)

    def _mend(self, kind: str) -> None:
        self._going_on.pop(kind, None)
        self._world.note(Fault(kind, mended=True))

    def _before(self, operation: Operation) -> None:
        if self._crash_in and self._life.crash_at in ("any", operation.file):
            self._crash_in -= 1
            if not self._crash_in:
                self._crash_at(operation)
        for kind in self._going_on:
            self._fail(kind, operation)

    def _fail(self, fault: str, operation: Operation) -> None:
        if fault in ("disk full", "short write") and operation.kind == "write":
            self._world.cover(f"fault: {fault}")
            if fault == "disk full":
                raise full()
            raise ShortWrite(self._chance.randrange(operation.size))
        if fault == "disk gone":
            self._world.cover(f"fault: {fault}")
            raise io_error(operation.kind)
        if ONCE.get(fault) == operation.kind:
            self._world.cover(f"fault: {fault}")
            del self._going_on[fault]
            raise io_error(operation.kind)

    def _crash_at(self, operation: Operation) -> None:
        self._world.cover(f"crash at {operation.kind} of {operation.file}")
        self._crashing = True
        self.take_image()
        raise apsw.IOError("the process has ended")

    def _connected(self, db: apsw.Connection) -> None:
        every = self._checkpoint_every

        def committed(db: apsw.Connection, name: str, pages: int) -> int:
            if pages >= every:
                try:
                    self._world.cover("checkpoint")
                    db.wal_checkpoint()
                except apsw.Error:
                    self._world.cover("a checkpoint that fails")
            if self._going_on.pop("commit denied", None):
                self._world.cover("fault: commit denied")
                return apsw.SQLITE_IOERR
            return apsw.SQLITE_OK

        db.set_wal_hook(committed)
