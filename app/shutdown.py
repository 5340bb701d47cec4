"""What happens at SIGTERM and SIGINT: the engine drains, the server closes, the process ends."""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator
from types import FrameType
from typing import Any, Final

from app.jobs.engine import Engine

log = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

SLACK: Final = 0.8
"""Seconds beyond every grace after which a process that does not end is ended."""

_LOOK_EVERY: Final = 0.05


@contextlib.asynccontextmanager
async def draining_on_signals(
    engine: Engine, *, grace: float, cancel_grace: float
) -> AsyncIterator[None]:
    """At a signal drain the engine, and only then do what was to be done before (uvicorn's part).

    So who waits is let go, jobs run on for `grace` seconds, and meanwhile everybody is answered:
    uvicorn closes its doors first and waits for open requests without a limit. At a second signal
    it does so at once. A thread ends the process when all graces have run out, for the event loop
    may be blocked.
    """
    loop = asyncio.get_running_loop()
    previous: dict[int, Any] = {}
    draining: list[asyncio.Task[None]] = []

    def handle(number: int, frame: FrameType | None) -> None:
        end_in_time(grace + cancel_grace + SLACK, code=1)
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


def end_in_time(seconds: float, *, code: int) -> None:
    """End the process with this exit code if it has not ended by then."""

    def end() -> None:
        if code:
            log.critical("this process does not end: ending it; its running jobs lose an attempt")
        os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


async def _drain(engine: Engine, grace: float) -> None:
    """Return when no job runs any more, or after `grace` seconds."""
    engine.drain()
    for _ in range(round(grace / _LOOK_EVERY)):
        if not engine.health().running:
            break
        await asyncio.sleep(_LOOK_EVERY)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Stands in for a handler that is none of Python's."""
