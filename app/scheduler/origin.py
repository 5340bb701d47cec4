"""Whose work an asyncio task is: a background task's own, or that of one which it started."""

import asyncio
import gc
import sys
from contextvars import Context, ContextVar
from typing import Any, Final

running_name: Final[ContextVar[str]] = ContextVar("running_name")
"""The name of the background task in whose context code runs; subtasks inherit it."""


AS_THE_TASK: Final = ""
"""In the context of an asyncio task that runs several, one after the other: its own name is it."""


def name_behind(task: asyncio.Task[Any]) -> str | None:
    """The name of the background task that an asyncio task is or was started by, else None.

    May be called in any thread.
    """
    context = _context_of(task)
    name = None if context is None else context.get(running_name)
    return task.get_name() if name == AS_THE_TASK else name


def _context_of(task: asyncio.Task[Any]) -> Context | None:
    if sys.version_info >= (3, 12):
        return task.get_context()
    # Until then a task tells only the garbage collector.
    return next((held for held in gc.get_referents(task) if isinstance(held, Context)), None)
