"""Only its end ends the main coroutine of the process."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from app.serving import run_to_its_end
from tests.containment.tasks import exit_later, leave

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
MakeLoop = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(autouse=True)
def leaves_no_task() -> Iterator[None]:
    """What a stopped loop leaves behind says so here, not in the middle of what comes later.

    It tells the log of an exception with a traceback, for which Python 3.11 parses source: within
    another `ast.parse`, which a collection of garbage may interrupt, that breaks the outer one.
    """
    yield
    gc.collect()


async def by_gather() -> None:
    """Exits in a subtask that is waited for."""
    with pytest.raises(SystemExit):
        await asyncio.gather(exit_later())


async def by_group() -> None:
    """Exits in a group of subtasks."""
    with pytest.raises(SystemExit):
        async with asyncio.TaskGroup() as group:
            group.create_task(exit_later())


async def by_callback() -> None:
    """Exits in a callback, after which others are due."""
    loop = asyncio.get_running_loop()
    turned = asyncio.Event()
    loop.call_soon(sys.exit)
    loop.call_soon(turned.set)
    await turned.wait()


async def by_stopping() -> None:
    """Stops the event loop twice."""
    for _ in range(2):
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)


@pytest.mark.parametrize("make_loop", LOOPS)
@pytest.mark.parametrize("stop", [by_gather, by_group, by_callback, by_stopping])
def test_it_goes_on_where_it_was(
    stop: Callable[[], Coroutine[Any, Any, None]],
    make_loop: MakeLoop,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever stops the event loop, the main coroutine runs to its end, and the log says so."""
    ended = []

    async def main() -> None:
        await stop()
        ended.append(True)

    run_to_its_end(main(), make_loop)
    assert ended == [True]
    assert {record.levelno for record in caplog.records} == {logging.CRITICAL}
    assert "a job stopped the event loop, which goes on" in caplog.text


@pytest.mark.parametrize("make_loop", LOOPS)
@pytest.mark.parametrize("error", [LookupError, SystemExit])
def test_what_the_main_coroutine_raises_is_raised(
    error: type[BaseException], make_loop: MakeLoop, caplog: pytest.LogCaptureFixture
) -> None:
    """That is its end."""

    async def main() -> None:
        raise error

    with pytest.raises(error):
        run_to_its_end(main(), make_loop)
    assert caplog.records == []


@pytest.mark.parametrize("make_loop", LOOPS)
def test_what_is_left_behind_does_not_spoil_the_end(
    make_loop: MakeLoop, caplog: pytest.LogCaptureFixture
) -> None:
    """A subtask that exits when it is cancelled at the end is logged."""
    left_behind = []

    async def exit_at_the_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            leave()

    async def main() -> None:
        left_behind.append(asyncio.create_task(exit_at_the_end()))
        await asyncio.sleep(0)

    run_to_its_end(main(), make_loop)
    assert "what a job left behind did not end well" in caplog.text
