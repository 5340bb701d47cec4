"""Which failures are worth another attempt, when, and for how long."""

import random
import time
from typing import Final

from app.client.errors import Busy, Unreachable

_FIRST: Final = 0.1
_LONGEST: Final = 2.0
_SHORTEST: Final = 0.02


class Patience:
    """The attempts of one request, within so many seconds in all.

    Called with what an attempt raised, it says after how many seconds to try again, or False. The
    service's own `Retry-After` is kept to, or else the pauses double, with jitter.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._failures = 0

    @property
    def left(self) -> float:
        """The seconds that are left, never less than a moment."""
        return max(0.001, self._end - time.monotonic())

    @property
    def repeated(self) -> bool:
        """Whether an attempt has failed before."""
        return self._failures > 0

    def __call__(self, error: Exception) -> bool | float:
        """Seconds until the next attempt, or False for none."""
        if not isinstance(error, Unreachable | Busy):
            return False
        left = self._end - time.monotonic()
        asked = error.retry_after if isinstance(error, Busy) else None
        # Towards the end they come closer: the last attempt is as late as it may be.
        pause = min(self._next_pause(), left / 2) if asked is None else asked
        self._failures += 1
        return pause if _SHORTEST < left > pause else False

    def _next_pause(self) -> float:
        """With jitter: those whom one outage has hit do not come back as one."""
        longest = min(_LONGEST, _FIRST * 2 ** min(self._failures, 10))
        return random.uniform(longest / 2, longest)
