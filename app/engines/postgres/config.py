"""How the distributed engine is set up."""

from dataclasses import dataclass, field

from app.jobs.config import EngineConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresConfig(EngineConfig):
    """What is the distributed engine's own. The store size is as far as a sample of jobs tells."""

    url: str = field(repr=False)
    """Any libpq connection string."""
    works: bool = True
    """Whether this process runs jobs, as a worker does, or only accepts and shows them."""
    serves: bool = True
    """Whether it is asked about jobs. If not, as a worker is not, it only hears of what it is to
    do: it takes no submissions, and has no counts, lists of changes and limits of what may wait."""
    keep_at_least: float = 5.0
    """How long a finished job stays, whatever its retention: by then every node knows."""
    stall_after: float = 30.0
    """Without a heartbeat for so long a worker counts as dead."""
    poll_every: float = 0.5
    """How late a job can start that is due, or whose notification was lost."""
    reconcile_every: float = 30.0
    """How long a job can wait whose dispatch somebody else has removed."""
