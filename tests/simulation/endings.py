"""The ends of simulated processes, without a trace in the real one."""

import asyncio
import gc
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import apsw

from app.engines.embedded import EmbeddedEngine
from tests.simulation.loop import SimulatedLoop


def dispose(
    loop: SimulatedLoop, engine: EmbeddedEngine, connections: Sequence[apsw.Connection]
) -> None:
    """Remove what a process leaves behind when it ends; of this nothing reaches the image."""
    for db in connections:
        with suppress(apsw.Error):
            db.close(True)
    engine._journal._lock.release()
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        coroutine = task.get_coro()
        with suppress(BaseException):
            coroutine.close()
    loop.close()


@contextmanager
def connected(hook: Callable[[apsw.Connection], None]) -> Iterator[None]:
    """Show the hook every connection that is opened meanwhile."""
    apsw.connection_hooks.append(hook)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(hook)


class _Log(logging.Handler):
    def __init__(self, defect: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._defect = defect

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is not None:
            self._defect(f"{record.getMessage()}: {record.exc_info[1]!r}")


@contextmanager
def quiet(defect: Callable[[str], None]) -> Iterator[None]:
    """Logs of defects are noted; that coroutines are dropped with their process is none.

    Garbage is collected at the end, not whenever the memory of earlier simulations says so.
    """
    log, handler = logging.getLogger("app"), _Log(defect)
    hook, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    log.addHandler(handler)
    gc.disable()
    propagate, log.propagate = log.propagate, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            gc.collect()
    finally:
        gc.enable()
        log.removeHandler(handler)
        log.propagate = propagate
        sys.unraisablehook = hook
