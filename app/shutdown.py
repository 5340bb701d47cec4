"""What happens at SIGTERM and SIGINT: the engine drains, the server closes, the process ends."""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator
from types import FrameType, TracebackType
from typing import Any, Final, Self

from app.jobs.engine import Engine

log = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

SLACK: Final = 0.8
"""Seconds beyond every grace in which connections and files are closed; then the process ends."""

LINGER: Final = 0.5
"""Seconds that the process has to end after all is closed, whatever threads jobs left behind."""

TELL_WITHIN: Final = 0.2
"""Seconds that the last line of the log may take."""

_LOOK_EVERY: Final = 0.05


class Deadline:
    """Ends the process some seconds after `start`: the event loop may be blocked.

    Leaving the context says that the rest has ended well: then only what jobs have left behind,
    such as threads, can hold the process up, and the exit code is 0.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: threading.Timer | None = None

    def start(self) -> None:
        """Begin to count; does nothing when it counts already."""
        if self._timer is None:
            self._timer = _timer(self._seconds, self._give_up)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            _timer(LINGER, os._exit, 0)

    def _give_up(self) -> None:
        text = "this process does not end: ending it; its running jobs lose an attempt"
        # By a thread of its own: what keeps the process may be a log that nobody reads.
        telling = threading.Thread(target=log.critical, args=(text,), daemon=True)
        telling.start()
        telling.join(TELL_WITHIN)
        os._exit(1)


@contextlib.asynccontextmanager
async def draining_on_signals(
    engine: Engine, grace: float, deadline: Deadline
) -> AsyncIterator[None]:
    """At a signal drain the engine, and only then do what was to be done before (uvicorn's part).

    So who waits is let go, jobs run on for `grace` seconds, and meanwhile everybody is answered:
    uvicorn closes its doors first and waits for open requests without a limit. At a second signal
    it does so at once.
    """
    loop = asyncio.get_running_loop()
    previous: dict[int, Any] = {}
    draining: list[asyncio.Task[None]] = []

    def handle(number: int, frame: FrameType | None) -> None:
        deadline.start()
        loop.call_soon_threadsafe(stop, number)

    def stop(number: int) -> None:
        go_on = previous[number] if callable(previous[number]) else _nothing
        if draining:
            go_on(number, None)
        else:
            draining.append(loop.create_task(_drain(engine, grace)))
            draining[0].add_done_callback(lambda _: go_on(number, None))

    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            previous[number] = signal.getsignal(number)
            signal.signal(number, handle)
    try:
        yield
    finally:
        for caught, handler in previous.items():
            signal.signal(caught, handler)
        for task in draining:
            task.cancel()
            await asyncio.wait((task,))


async def _drain(engine: Engine, grace: float) -> None:
    """Return when no job runs any more, or after `grace` seconds."""
    engine.drain()
    for _ in range(round(grace / _LOOK_EVERY)):
        if not engine.health().running:
            break
        await asyncio.sleep(_LOOK_EVERY)


def _timer(seconds: float, function: Any, *arguments: Any) -> threading.Timer:
    timer = threading.Timer(seconds, function, arguments)
    timer.daemon = True
    timer.start()
    return timer


def _nothing(number: int, frame: FrameType | None) -> None:
    """Stands in for a handler that is none of Python's."""
