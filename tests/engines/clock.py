"""Time that tests set forward, while threads and the disk take theirs."""

import asyncio
from typing import Final

from app.jobs.models import Millis

EPOCH: Final[Millis] = 1_800_000_000_000


class SkippingLoop(asyncio.SelectorEventLoop):
    """A real event loop whose clock can be set forward: timers are due at once then."""

    def __init__(self) -> None:
        self._skipped = 0.0
        super().__init__()

    def time(self) -> float:
        return super().time() + self._skipped

    def skip(self, seconds: float) -> None:
        self._skipped += seconds


def skip(seconds: float) -> None:
    """Let so much time pass at once."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop)
    loop.skip(seconds)


class WallClock:
    """Wall time that passes as the loop's does, and that can be set as a system's clock can."""

    def __init__(self) -> None:
        self._set_by: Millis = 0

    def __call__(self) -> Millis:
        return EPOCH + self._set_by + round(asyncio.get_running_loop().time() * 1000)

    def set_by(self, seconds: float) -> None:
        self._set_by += round(seconds * 1000)
