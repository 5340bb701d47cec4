import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator
from typing import Any

import pytest

from app.jobs.stack import await_chain
from app.scheduler import BackgroundTaskScheduler


async def inner() -> None:
    """Awaits an event."""
    await asyncio.Event().wait()


async def numbers() -> AsyncIterator[int]:
    """Awaits a coroutine before its first number."""
    await inner()
    yield 1


async def loop_over() -> None:
    """Awaits an async generator."""
    async for _ in numbers():
        pass


async def in_a_task() -> None:
    """Awaits a task."""
    await asyncio.create_task(inner())


class Awaitable:
    def __await__(self) -> Generator[Any, None, None]:
        return inner().__await__()


async def by_a_method() -> None:
    """Awaits an object."""
    await Awaitable()


@pytest.mark.parametrize(
    ("coroutine", "chain"),
    [
        (inner, ["inner", "Event.wait"]),
        (loop_over, ["loop_over", "numbers", "inner", "Event.wait"]),
        (in_a_task, ["in_a_task", "inner", "Event.wait"]),
        (by_a_method, ["by_a_method", "inner", "Event.wait"]),
    ],
)
async def test_the_whole_chain(coroutine: Any, chain: list[str]) -> None:
    """The chain leads through coroutines, generators, tasks and awaitable objects."""
    running: Coroutine[Any, Any, None] = coroutine()
    async with BackgroundTaskScheduler(grace=0) as scheduler:

        async def run() -> None:
            await running

        scheduler.create_task(run)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        frames = await_chain(running)
    assert [frame.function for frame in frames] == chain
    assert all(frame.line > 0 for frame in frames)


async def test_files_are_relative() -> None:
    """A file is shown relative to where its package is imported from, never as a whole path."""
    running = inner()
    task = asyncio.create_task(running)
    await asyncio.sleep(0)
    first, second = await_chain(running)
    assert not first.file.startswith("/")
    assert second.file == "asyncio/locks.py"
    task.cancel()


async def test_a_coroutine_that_has_ended() -> None:
    """One that is over awaits nowhere."""
    running = asyncio.sleep(0)
    await running
    assert await_chain(running) == ()
