"""What a run of simulations covered, and whether that is all that it is there for."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.plan import FAULTS

EXPECTED: Final = (
    *sorted({f"fault: {kind}" for kind in FAULTS}),
    *(f"crash: {phase}" for phase in ("start", "work", "close")),
    *(f"crash with {what}" for what in ("all writes", "loss of power")),
    *(f"crash at {kind} of wal" for kind in ("open", "write", "sync")),
    *(f"crash at {kind} of journal" for kind in ("open", "write", "sync")),  # at a checkpoint
    *(
        f"crash before the answer to {kind}"
        for kind in ("insert", "start", "finish", "fail", "requestcancel")
    ),
    "rest after faults",
    "crash between a durable start and the first step",
    "crash between the end of a coroutine and its commit",
    "close with loss of power",
    "a checkpoint that fails",
    *(
        f"store fails at {kind}"
        for kind in ("insert", "start", "finish", "fail", "requestcancel", "removeexpired")
    ),
    "unknown fate: it happened",
    "unknown fate: it did not happen",
    *(f"outcome {status}" for status in ("completed", "failed", "cancelled", "pending")),
    "expiry",
    "an expiry that comes too late",
    "a start that comes too late",
    *(f"a cancel before the outcome {step}" for step in ("complete", "fail", "retry")),
    *(
        f"a cancel that met or made {status}"
        for status in ("running", "completed", "failed", "cancelled")
    ),
    "a cancel of another version",
    *(
        f"one commit: {pair}"
        for pair in (
            "requestcancel, then start",
            "start, then requestcancel",
            "requestcancel, then finish",
            "finish, then requestcancel",
            "requestcancel, then fail",
            "fail, then requestcancel",
            "requestcancel, then requestcancel",
        )
    ),
    "two submissions with one key at once",
    "cancel and timeout in one tick",
    "cancel and shutdown in one tick",
    "timeout and shutdown in one tick",
    "a caller leaves",
    "stream: position",
    "stream: reset",
    *(
        f"submit: {error}"
        for error in ("KeyReused", "QueueFull", "StoreFull", "StoreUnavailable", "UnknownTask")
    ),
    "submit: ShuttingDown",
    "cancel: StoreUnavailable",
    "cancel: VersionMismatch",
    "get: JobExpired",
)
"""What has to be hit, by the names under which it is counted: no seed proves what it never met."""


@dataclass(slots=True)
class Report:
    """The sum of some simulations."""

    seeds: int = 0
    jobs: int = 0
    lives: int = 0
    events: int = 0
    checks: int = 0
    seconds: float = 0.0
    covered: Counter[str] = field(default_factory=Counter)
    failed: dict[int, list[str]] = field(default_factory=dict)
    """What broke a promise, by seed."""

    def add(self, other: "Report") -> None:
        """Count another one's in."""
        self.seeds += other.seeds
        self.jobs += other.jobs
        self.lives += other.lives
        self.events += other.events
        self.checks += other.checks
        self.covered += other.covered
        self.failed |= other.failed

    def missed(self) -> list[str]:
        """What was to be hit and never was."""
        return [name for name in EXPECTED if not self.covered[name]]

    def __str__(self) -> str:
        rate = self.seeds / self.seconds if self.seconds else 0.0
        lines = [f"{count:>9,}  {name}" for name, count in sorted(self.covered.items())]
        lines += [f"        0  {name}: NEVER" for name in self.missed()]
        lines += [
            f"{self.seeds:,} seeds, {self.lives:,} processes, {self.jobs:,} jobs, "
            f"{self.events:,} events, {self.checks:,} rules checked, "
            f"{self.seconds:.0f} s, {rate:.1f} seeds a second"
        ]
        for seed, broken in sorted(self.failed.items()):
            lines += [f"seed {seed}: {what}" for what in broken]
        return "\n".join(lines)
