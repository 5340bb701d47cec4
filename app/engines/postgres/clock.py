"""The database's clock, by which all nodes go: their own may differ."""

from collections.abc import Callable
from typing import Final

from app.engines.postgres.tables import Tables
from app.jobs.models import Millis

_NOW: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"


class Clock:
    """Tells the milliseconds since the Unix epoch, as far as it was `set`."""

    def __init__(self, own: Callable[[], Millis]) -> None:
        self._own = own
        self._ahead = 0

    def __call__(self) -> Millis:
        """The time there."""
        return self._own() + self._ahead

    async def set(self, tables: Tables) -> None:
        """Ask for the time; raises `StoreUnavailable`.

        It stays as it is when it is right as far as can be told: the answer took some time.
        """
        before = self._own()
        [(there,)] = await tables.rows(_NOW)
        doubt = (self._own() - before) // 2 + 1
        ahead = int(there) - before - doubt
        if abs(ahead - self._ahead) > doubt:
            self._ahead = ahead
