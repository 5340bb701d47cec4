"""An event loop whose clock jumps instead of waiting."""

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """A loop that, when nothing is ready, sets its clock to the next timer: sleeping takes no time.

    For code without threads, for time goes on while they work. A loop that would wait for ever
    raises `Stuck` instead.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def _jump(self, seconds: float) -> None:
        now = self._now + seconds
        if seconds and now + 1e-9 == now:
            # After some months the nanosecond by which asyncio is early is lost in rounding, and a
            # timer at `now` would never be due.
            now = math.nextafter(now, math.inf)
        self._now = now


class Stuck(Exception):
    """Raised when nothing is ready and no timer is set, so that nothing can happen any more."""


def now() -> float:
    """Virtual seconds since the running loop was made."""
    return asyncio.get_running_loop().time()


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """As `asyncio.run(main())`, on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(main())


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Stuck("nothing is ready and no timer is set")
            self._jump(timeout)
        return ready
