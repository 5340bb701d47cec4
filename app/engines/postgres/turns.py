"""Which of the workers is the first to claim what was dispatched, so that not all of them do."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Final

_IN_A_ROW: Final = 16
"""Dispatches one after the other that are the same worker's: they often come in one transaction."""

_PATIENCE: Final = 0.05
"""Seconds after which all others try, too: the first may be full, or gone."""


class Turns:
    """The turns of one worker: `wake` is called when it is to claim."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._later: asyncio.TimerHandle | None = None
        self.alike: Sequence[int] = ()
        """The workers that know the same tasks, in the same order everywhere."""

    def dispatched(self, said: str, own: int | None) -> None:
        """Hear Procrastinate's notification as the worker `own`, if it has a number by now."""
        news = json.loads(said)
        if news["type"] != "job_inserted":
            return
        if own not in self.alike or own == self._first(news["job_id"]):
            self._wake()
        elif self._later is None:
            self._later = asyncio.get_running_loop().call_later(_PATIENCE, self._wake)

    def claims(self) -> None:
        """It claims now, whatever has been dispatched so far."""
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _first(self, dispatch: int) -> int:
        return self.alike[dispatch // _IN_A_ROW % len(self.alike)]
