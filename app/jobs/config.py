"""How engines are set up, as far as they have it in common."""

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
class EngineConfig:
    """Durations are seconds, sizes bytes. Coroutines run in copies of `context`."""

    max_running: int = 1_000
    """Jobs that this process runs at once."""
    max_pending: int = 100_000
    max_running_of_owner: int | None = None
    max_pending_of_owner: int | None = None
    max_store_size: int | None = None
    retention: float = 86_400.0
    max_result_size: int = 1 << 20
    exception_text: bool = True
    shutdown_grace: float = 8.0
    cancel_grace: float = 1.0
    unknown_task_after: float = 86_400.0
    housekeeping_every: float = 5.0
    watch_loop: bool = True
    """Whether a thread looks out for a blocked event loop."""
    now: Callable[[], Millis] = wall_clock
    random: Random = field(default_factory=SystemRandom)
    context: contextvars.Context = field(default_factory=contextvars.Context)
    trace: Trace | None = None
    """Begins a span of each attempt."""
