"""How the distributed engine is set up."""

import contextvars
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random, SystemRandom

from app.jobs.models import Millis
from app.jobs.tracing import Trace


def wall_clock() -> Millis:
    """The milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresConfig:
    """Durations are seconds, sizes bytes. Coroutines run in copies of `context`."""

    url: str = field(repr=False)
    """Any libpq connection string."""
    works: bool = True
    """Whether this process runs jobs, as a worker does, or only accepts and shows them."""
    serves: bool = True
    """Whether it is asked about jobs. If not, as a worker is not, it only hears of what it is to
    do: it takes no submissions, and has no counts, lists of changes and limits of what may wait."""
    max_running: int = 1_000
    """Jobs that this process runs at once."""
    max_pending: int = 100_000
    max_running_of_owner: int | None = None
    max_pending_of_owner: int | None = None
    max_store_size: int | None = None
    """Of all jobs, as far as a sample of them tells."""
    retention: float = 86_400.0
    keep_at_least: float = 5.0
    """How long a finished job stays, whatever its retention: by then every node knows."""
    max_result_size: int = 1 << 20
    exception_text: bool = True
    shutdown_grace: float = 8.0
    cancel_grace: float = 1.0
    stall_after: float = 30.0
    """Without a heartbeat for so long a worker counts as dead."""
    unknown_task_after: float = 86_400.0
    poll_every: float = 0.5
    """How late a job can start that is due, or whose notification was lost."""
    housekeeping_every: float = 5.0
    reconcile_every: float = 30.0
    """How long a job can wait whose dispatch somebody else has removed."""
    watch_loop: bool = True
    """Whether a thread looks out for a blocked event loop."""
    now: Callable[[], Millis] = wall_clock
    random: Random = field(default_factory=SystemRandom)
    context: contextvars.Context = field(default_factory=contextvars.Context)
    trace: Trace | None = None
    """Begins a span of each attempt."""
