"""Coroutines that the tests run, named for what they do."""

import asyncio
import contextlib
from typing import TypeVar

T = TypeVar("T")


async def return_it(value: T) -> T:
    """Returns at its first step."""
    return value


async def raise_it(error: BaseException) -> None:
    """Raises at its first step."""
    raise error


async def sleep_then_return(seconds: float, value: T) -> T:
    """Returns after a while."""
    await asyncio.sleep(seconds)
    return value


async def wait_for_ever() -> None:
    """Ends only by its cancel."""
    await asyncio.Event().wait()


async def return_when_cancelled(value: T) -> T:
    """Returns at its cancel."""
    with contextlib.suppress(asyncio.CancelledError):
        await wait_for_ever()
    return value


async def raise_when_cancelled(error: BaseException) -> None:
    """Raises an error of its own at its cancel."""
    try:
        await wait_for_ever()
    finally:
        raise error


async def ignore_cancel_for(seconds: float, value: T) -> T:
    """Swallows one cancel and goes on for `seconds`."""
    try:
        await wait_for_ever()
    except asyncio.CancelledError:
        await asyncio.sleep(seconds)
    return value


async def turns(count: int = 5) -> None:
    """Let everything that is ready run, without time going on."""
    for _ in range(count):
        await asyncio.sleep(0)
