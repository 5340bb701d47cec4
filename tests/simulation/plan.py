"""What a seed decides beforehand: the settings, how many lives, what goes wrong in each."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.simulation.tasks import TASKS

FAULTS: Final = (
    "disk full", "disk full", "disk gone", "short write", "write fails", "sync fails",
    "truncate fails", "commit denied", "stall", "long stall", "clock forward", "clock back",
)  # fmt: skip
ENDINGS: Final = (
    "crash", "crash", "crash", "crash at start", "crash at close", "close", "rest", "rest",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mishap:
    """A fault that begins at a tick and lasts for some."""

    kind: str
    at: int
    ticks: int


@dataclass(frozen=True, slots=True)
class Life:
    """One process. It ends after its ticks by a close, unless its crash is quicker.

    One that rests closes when nothing is left to do.
    """

    ticks: int
    ending: str
    crash_at: str
    """What is counted until the crash: each `turn` of the loop, each operation of the disk (`any`),
    or those on the main file of the journal alone, as at a checkpoint (`journal`)."""
    crash_in: int
    """How many of those come first."""
    power_loss: bool
    down: int
    """Ticks until the next process begins."""
    mishaps: Sequence[Mishap]
    missing: str | None
    """A task that this deployment has lost."""
    clients: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole simulation."""

    lives: Sequence[Life]
    disorder: float
    max_running: int
    max_pending: int
    max_store_size: int | None
    retention: float
    unknown_task_after: float
    shutdown_grace: float
    checkpoint_every: int


def plan_of(chance: Random) -> Plan:
    """The plan that a seed stands for."""
    return Plan(
        lives=[_life(chance) for _ in range(chance.choice((1, 2, 2, 3)))],
        disorder=chance.choice((0.0, 0.3, 1.0)),
        max_running=chance.choice((1, 2, 3, 100)),
        max_pending=chance.choice((3, 100, 100)),
        max_store_size=chance.choice((None,) * 7 + (52_000,)),
        retention=chance.choice((4.0, 86_400.0, 86_400.0)),
        unknown_task_after=chance.choice((1.0, 86_400.0)),
        shutdown_grace=chance.choice((0.0, 0.5, 1.0)),
        checkpoint_every=chance.choice((2, 8, 1_000)),
    )


def _life(chance: Random) -> Life:
    ticks = chance.randrange(4, 80)
    ending = chance.choice(ENDINGS)
    crash_at = chance.choice(("turn", "turn", "any", "any", "journal"))
    return Life(
        ticks=ticks,
        ending=ending,
        crash_at=crash_at,
        crash_in=chance.randrange(1, {"turn": 60, "any": 14, "journal": 16}[crash_at]),
        power_loss=chance.random() < 0.5,
        down=chance.randrange(1, 40),
        mishaps=[_mishap(chance, ticks) for _ in range(chance.choice((0, 0, 1, 1, 2)))],
        missing=chance.choice(TASKS).__name__ if chance.random() < 0.15 else None,
        clients=chance.randrange(2, 5),
    )


def _mishap(chance: Random, ticks: int) -> Mishap:
    return Mishap(chance.choice(FAULTS), chance.randrange(ticks), chance.randrange(1, 25))
