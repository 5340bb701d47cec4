"""Whether and when a failed attempt is followed by another."""

import logging
from collections.abc import Callable
from typing import Final

from app.jobs.admission import MAX_DELAY
from app.jobs.models import ErrorType, JobError
from app.jobs.options import Backoff, RetryOn

log = logging.getLogger(__name__)

MAX_BACKOFF: Final = 60.0

_ALWAYS: Final = frozenset({ErrorType.TIMEOUT, ErrorType.INTERRUPTED})


def is_retried(error: JobError, raised: BaseException | None, retry_on: RetryOn) -> bool:
    """True when the error is worth another attempt, if any is left.

    Timeouts and interruptions always are; of exceptions those in `retry_on`.
    """
    if error.type is ErrorType.EXCEPTION:
        return issubclass(type(raised), retry_on)  # its own `__class__` may be anything
    return error.type in _ALWAYS


def delay_after(attempt: int, backoff: Backoff, random: Callable[[], float]) -> float:
    """Seconds to wait after the failed attempt of this number; `random` gives 0 to 1.

    Doubling with full jitter (anything from 0 to the bound), which spreads the retries of jobs
    that failed together. A function of the task's own gives the exact delay; if it raises, or
    gives no number from 0 to `MAX_DELAY`, a warning is logged and the delay is `MAX_BACKOFF`.
    """
    if callable(backoff):
        return _delay_by(backoff, attempt)
    bound = min(MAX_BACKOFF, float(backoff) * 2.0 ** min(attempt - 1, 32))
    return bound * random()


def _delay_by(function: Callable[[int], float], attempt: int) -> float:
    try:
        delay = float(function(attempt))
        if not 0 <= delay <= MAX_DELAY:
            raise ValueError(f"a delay is 0 to {MAX_DELAY:g} seconds, not {delay}")
    # It may raise anything, and a SystemExit would stop the whole event loop.
    except BaseException as error:
        log.warning("backoff %r failed", function, exc_info=error)
        return MAX_BACKOFF
    return delay
