"""What fails for as long as the database is away is said once, and once that it is over."""

import logging
from typing import Final

from app.engines.postgres.migrations import first_line
from app.jobs.errors import StoreUnavailable

log: Final = logging.getLogger(__name__)


class Outage:
    """Of one thing, `what` by name. Tells the log when it begins to fail, and when it does not."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lasts = False

    def begin(self, error: Exception) -> None:
        """It has failed."""
        if not self._lasts:
            log.warning("%s fails: %s", self._what, first_line(error))
        self._lasts = True

    def end(self) -> None:
        """It has not failed."""
        if self._lasts:
            log.warning("%s works again", self._what)
        self._lasts = False


def unavailable(error: BaseException) -> StoreUnavailable:
    """What callers are told when PostgreSQL does not answer, or says no.

    What it says itself is for the log: it names hosts and users.
    """
    return StoreUnavailable(f"the database cannot be used ({type(error).__name__})")
