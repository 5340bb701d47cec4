"""What happened in a simulation, in order, as it was seen from outside the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from app.jobs.models import Job, Millis
from app.scheduler import Status


@dataclass(frozen=True, slots=True)
class Row:
    """What the journal says of a job when a process opens it."""

    version: int
    status: Status
    attempt: int
    cancelled: bool
    finished_at: Millis | None


@dataclass(frozen=True, slots=True)
class Opening:
    """A process begins: it has found this, and not written anything yet."""

    rows: Mapping[UUID, Row]


@dataclass(frozen=True, slots=True)
class Opened:
    """It has recovered."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process has ended; `how` is `crash` or `close`."""

    how: str


@dataclass(frozen=True, slots=True)
class Called:
    """A client calls."""

    call: int
    what: str
    job_id: UUID | None = None
    key: str | None = None
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """It is answered: with jobs, or an error by its name."""

    call: int
    jobs: Sequence[Job] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Began:
    """A coroutine takes its first step."""

    job_id: UUID
    attempt: int


@dataclass(frozen=True, slots=True)
class Interrupted:
    """`CancelledError` reaches it."""

    job_id: UUID
    attempt: int


@dataclass(frozen=True, slots=True)
class Finished:
    """It has `returned` a value or `raised` an exception of a name."""

    job_id: UUID
    attempt: int
    how: str
    value: object


@dataclass(frozen=True, slots=True)
class Committed:
    """The journal has committed a change: what kind, and what came of it."""

    kind: str
    job_id: UUID | None
    result: object
    at: Millis | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The engine knows of it; `changed` if the job did, `done` if it had ended by then."""

    kind: str
    job_id: UUID | None
    version: int
    changed: bool
    done: bool


@dataclass(frozen=True, slots=True)
class Streamed:
    """A stream of all jobs gives an event."""

    stream: int
    kind: str
    version: int | None
    job: Job | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something begins to go wrong, or is sound again (`mended`)."""

    kind: str
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Rested:
    """A process that has lived through faults has nothing to do any more, it says."""

    there: Mapping[Status, int]
    """How many jobs there are by status."""
    counts: Mapping[Status, int]
    """What it counts."""
    taken: int


@dataclass(frozen=True, slots=True)
class Calm:
    """Everything has come to rest: each job there is, and what the engine counts."""

    jobs: Mapping[UUID, Job]
    counts: Mapping[Status, int]
    taken: int
    followed: Mapping[UUID, tuple[int, Status]]
    """What one that followed the stream of all jobs through every life knows."""


@dataclass(frozen=True, slots=True)
class Reopened:
    """The same after a calm close."""

    jobs: Mapping[UUID, Job]


@dataclass(frozen=True, slots=True)
class Defect:
    """Something that no fault excuses: an unforeseen exception, a log line that tells of one."""

    text: str


What: TypeAlias = (
    Opening | Opened | Ended | Called | Answered | Began | Interrupted | Finished | Committed
    | Told | Streamed | Fault | Rested | Calm | Reopened | Defect
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """`time` is in virtual seconds since the beginning, `wall` is what the clock shows."""

    time: float
    wall: Millis
    life: int
    what: What


@dataclass(slots=True)
class History:
    """All events, and the settings that the promises depend on."""

    max_running: int = 1_000
    retention: Millis = 86_400_000
    shutdown_grace: float = 0.0
    max_pending: int = 100_000
    events: list[Event] = field(default_factory=list)

    def __str__(self) -> str:
        return "".join(f"{e.time:9.3f} {e.life} {e.what}\n" for e in self.events)
