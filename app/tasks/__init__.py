"""The tasks that ship with awaitd; the setting `AWAITD_TASKS` replaces them by naming others."""

from app.tasks.basics import count_primes, echo, fail, sleep
from app.tasks.check_links import check_links

__all__ = ["check_links", "count_primes", "echo", "fail", "sleep"]
