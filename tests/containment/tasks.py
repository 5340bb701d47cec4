"""Tasks that do what no task should."""

import asyncio
import contextlib
import contextvars
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, BaseModel, field_serializer

from app.jobs import JobContext, task


def leave(*_: object) -> NoReturn:
    """Raises what ends a process."""
    raise SystemExit(3)


class OwnExit(BaseException):
    """No Exception."""


class Unspeakable(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise OwnExit

    __repr__ = __str__


class Numeric(Exception):
    """Has a text that is none."""

    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class ExitsWhenShown(Exception):
    """Ends the process of those who want to read it."""

    def __str__(self) -> str:
        leave()

    __repr__ = __str__


class Classless(Exception):
    """Does not say what it is."""

    __class__ = property(leave)


class Traceless(Exception):
    """Does not say where it was raised, or why."""

    __traceback__ = property(leave)
    __cause__ = property(leave)
    __context__ = property(leave)

    def with_traceback(self, traceback: object) -> NoReturn:
        leave()


class Anonymous(type):
    """Of classes without a name."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        leave()


class Nameless(Exception, metaclass=Anonymous):
    """Of no name."""


class Broken:
    """Can be neither counted, nor walked through, nor shown."""

    def __iter__(self) -> Iterator[int]:
        leave()

    def __len__(self) -> int:
        leave()

    def __repr__(self) -> str:
        leave()


class Holder(BaseModel):
    """Holds anything."""

    held: Any


class Unwritable(BaseModel):
    """Cannot be written."""

    value: int = 1

    @field_serializer("value")
    def write(self, value: int) -> int:
        raise LookupError(value)


class Exiting(Unwritable):
    """Ends the process of those who write it."""

    @field_serializer("value")
    def write(self, value: int) -> int:
        leave()


def recurse() -> None:
    """Never comes back."""
    recurse()


async def exit_later() -> None:
    """Raises what ends a process, in a later turn of the event loop."""
    await asyncio.sleep(0)
    leave()


async def numbers() -> AsyncIterator[int]:
    """Yields."""
    yield 1


def circle() -> list[Any]:
    """A list that holds itself."""
    items: list[Any] = [1]
    items.append(items)
    return items


def nested(depth: int) -> list[Any]:
    """Lists inside of lists."""
    items: list[Any] = []
    for _ in range(depth):
        items = [items]
    return items


RAISED: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "OwnExit": OwnExit,
    "StopIteration": StopIteration,
    "StopAsyncIteration": StopAsyncIteration,
    "CancelledError": asyncio.CancelledError,
    "ExceptionGroup": lambda: ExceptionGroup("some", [ValueError(1), OSError(2)]),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("some", [SystemExit(1), OSError(2)]),
    "Unspeakable": Unspeakable,
    "Numeric": Numeric,
    "ExitsWhenShown": ExitsWhenShown,
    "Classless": Classless,
    "Traceless": Traceless,
    "Nameless": Nameless,
    "10 MB": lambda: ValueError("x" * 10_000_000),
    "surrogate": lambda: ValueError("\ud800"),
}

RETURNED: dict[str, Callable[[], Any]] = {
    "64 MB": lambda: "x" * 64_000_000,
    "1,000,000 numbers": lambda: [0] * 1_000_000,
    "circle": circle,
    "100,000 levels": lambda: nested(100_000),
    "NaN": lambda: float("nan"),
    "infinity": lambda: [float("inf")],
    "surrogate": lambda: {"a": "\ud800"},
    "10,000 digits": lambda: 10**10_000,
    "bytes": lambda: b"\xff",
    "object": object,
    "class": lambda: Broken,
    "function": lambda: recurse,
    "exception": Unspeakable,
    "broken": Broken,
    "key": lambda: {Broken(): 1},
    "generator": lambda: (number for number in [1]),
    "endless iterator": itertools.count,
    "endless iterator inside": lambda: [{"a": (1, Holder(held=itertools.repeat(0)))}],
    "async generator": numbers,
    "coroutine": exit_later,
    "unwritable model": Unwritable,
    "exiting model": Exiting,
}


@task
async def raise_it(what: str) -> None:
    """Raises."""
    raise RAISED[what]()


@task
async def raise_recursion() -> None:
    """Recurses for ever."""
    recurse()


@task
async def raise_in_thread() -> None:
    """Exits in a thread, and awaits it."""
    await asyncio.to_thread(leave)


@task
async def return_it(what: str) -> Any:
    """Returns."""
    return RETURNED[what]()


@task
async def return_convertible() -> Any:
    """Returns what JSON can be made of."""
    return {1: {2}, "b": b"a"}


@task
async def gather_exit() -> None:
    """Exits in a subtask."""
    await asyncio.gather(exit_later(), asyncio.sleep(60))


@task
async def group_exit() -> None:
    """Exits in a subtask of a group."""
    async with asyncio.TaskGroup() as group:
        group.create_task(exit_later())


@task
async def callback_exit() -> int:
    """Exits in a callback of the event loop."""
    asyncio.get_running_loop().call_soon(leave)
    await asyncio.sleep(0.01)
    return 1


@task
async def callback_interrupt() -> int:
    """Interrupts in a callback that a thread sends."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(loop.call_soon_threadsafe, interrupt)
    await asyncio.sleep(0.01)
    return 1


@task
async def stop_loop() -> int:
    """Stops the event loop."""
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    return 1


left_behind = set[object]()


@task
async def leave_subtasks() -> int:
    """Ends before its subtasks, which then exit, fail and go on."""
    loop = asyncio.get_running_loop()
    left_behind.update(map(loop.create_task, (exit_later(), asyncio.sleep(0, 1), forever())))
    left_behind.add(await anext(numbers()))
    return 1


async def forever() -> None:
    """Goes on, whatever it is told."""
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


@task
async def swallow_cancel() -> None:
    """Goes on after its cancel."""
    await forever()


@task
async def exit_when_cancelled() -> None:
    """Exits instead of cleaning up."""
    try:
        await asyncio.Event().wait()
    finally:
        leave()


@task(retries=1, backoff=leave)
async def exit_in_backoff() -> None:
    """Fails, and its back-off exits."""
    raise ValueError


@task
async def exit_in_validator(number: Annotated[int, AfterValidator(lambda _: leave())]) -> None:
    """Exits where its params are checked."""


@task
async def name_context() -> list[str]:
    """Returns the names of the context variables that it sees."""
    return sorted(variable.name for variable in contextvars.copy_context())


async def until_there(path: Path) -> None:
    """Wait until a file exists."""
    while not path.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(0.01)


def block(path: Path) -> None:
    """Holds the thread up until a file exists, and says in another since when."""
    path.with_suffix(".began").write_text(str(time.monotonic()))
    while not path.exists():
        time.sleep(0.01)


@task
async def block_loop(path: Path) -> None:
    """Blocks the event loop, once a file called as that one, with `.go`, exists."""
    await until_there(path.with_suffix(".go"))
    block(path)


@task
async def block_loop_in_subtask(path: Path) -> None:
    """Blocks the event loop in a subtask."""
    await asyncio.gather(block_loop(path))


@task(retries=1, backoff=0)
async def end_process(once: bool, path: Path, *, job: JobContext) -> int:
    """Ends the process, in every attempt or in the first one only; then returns its number.

    It waits for a file called as that one, with the attempt's number.
    """
    if job.attempt == 1 or not once:
        await until_there(path.with_suffix(f".{job.attempt}"))
        os._exit(9)
    return job.attempt


@task
async def behave() -> int:
    """Returns 1."""
    return 1


@task
async def wait_for(path: Path) -> int:
    """Returns 1 once a file exists."""
    await until_there(path)
    return 1
