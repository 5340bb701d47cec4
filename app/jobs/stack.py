"""Where a suspended coroutine awaits right now: its whole chain of awaits."""

import asyncio
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any, Final

_MAX_FRAMES: Final = 200
_MAX_WRAPPERS: Final = 3

_KINDS: Final = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


@dataclass(frozen=True, slots=True)
class StackFrame:
    """One function of the chain; `file` is relative to where its package is imported from."""

    function: str
    file: str
    line: int


def await_chain(coroutine: object) -> tuple[StackFrame, ...]:
    """The chain of awaits of a coroutine that is suspended, outermost first.

    Where `asyncio.Task.get_stack()` shows one frame, this follows each await to what it awaits.
    """
    return tuple(_frames(coroutine))


def _frames(awaited: Any) -> Iterator[StackFrame]:
    for _ in range(_MAX_FRAMES):
        awaited = _with_a_frame(awaited)
        for frame_name, next_name in _KINDS:
            frame: FrameType | None = getattr(awaited, frame_name, None)
            if frame is not None:
                yield _shown(frame.f_code, frame.f_lineno)
                awaited = getattr(awaited, next_name)
                break
        else:
            return


def _with_a_frame(awaited: Any) -> Any:
    """What stands behind an await: steps through wrappers and tasks, which have no frame.

    The step of an async generator, the iterator of a future and the wrapper of `__await__` tell
    only the garbage collector what they hold.
    """
    for _ in range(_MAX_WRAPPERS):
        if awaited is None or any(hasattr(awaited, frame) for frame, _ in _KINDS):
            return awaited
        if isinstance(awaited, asyncio.Task):
            awaited = awaited.get_coro()
        else:
            awaited = next(filter(_is_awaitable, gc.get_referents(awaited)), None)
    return None


def _is_awaitable(value: object) -> bool:
    return isinstance(value, CoroutineType | GeneratorType | AsyncGeneratorType | asyncio.Task)


def _shown(code: CodeType, line: int | None) -> StackFrame:
    return StackFrame(code.co_qualname, _relative(code.co_filename), line or code.co_firstlineno)


def _relative(file: str) -> str:
    """The path below the longest entry of `sys.path` that holds it; a client sees no more of it."""
    path = Path(file)
    bases = [Path(entry) for entry in sys.path if entry and path.is_relative_to(entry)]
    base = max(bases, key=lambda entry: len(entry.parts), default=path.parent)
    return str(path.relative_to(base))
