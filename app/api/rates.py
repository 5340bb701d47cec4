"""How often each owner may submit."""

import math
import time
from collections.abc import Callable

from app.api.problems import Problem


class Rates:
    """Lets every owner submit so many jobs a second; what was not used is kept for a second.

    `per_second` None: no limit.
    """

    def __init__(
        self, per_second: float | None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = per_second
        self._monotonic = monotonic
        self._full_at: dict[str | None, float] = {}
        """When each owner may submit as much at once as ever again."""

    def take(self, owner: str | None) -> None:
        """Count one submission; raises `Problem` when it comes too soon."""
        if self._rate is None:
            return
        now = self._monotonic()
        full_at = max(now, self._full_at.get(owner, now)) + 1 / self._rate
        early = full_at - now - max(1.0, 1 / self._rate)
        if early > 1e-9:
            detail = f"an owner may submit {self._rate:g} jobs a second"
            headers = {"Retry-After": str(math.ceil(early))}
            raise Problem("rate-limited", detail, headers=headers, limit=self._rate)
        self._full_at[owner] = full_at
