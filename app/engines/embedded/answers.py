"""What callers wait for while the journal writes: futures that outlive them if need be."""

import asyncio
from typing import Any, Final, TypeVar

from app.jobs.errors import JobsError, StoreUnavailable

T = TypeVar("T")

STORE_TIMEOUT: Final = 10.0
"""Seconds that a caller waits for the journal before it is told that the store is unavailable."""


async def answer(done: asyncio.Future[T], *, shared: bool = False) -> T:
    """What the journal answers; the change goes on when the caller does not wait for it.

    What others wait for too is `shared`: then a caller who gives up leaves it alone.
    """
    waiting = asyncio.shield(done) if shared else done
    timer = asyncio.get_running_loop().call_later(STORE_TIMEOUT, _give_up, waiting)
    try:
        return await waiting
    finally:
        timer.cancel()


def resolve(done: asyncio.Future[T], value: T) -> None:
    """Answer, if anybody waits for it still."""
    if not done.done():
        done.set_result(value)


def refuse(done: asyncio.Future[Any], error: JobsError) -> None:
    """Answer with an error, which is no loss if nobody waits for it any more."""
    if not done.done():
        done.set_exception(error)
        done.exception()


def _give_up(done: asyncio.Future[Any]) -> None:
    refuse(done, StoreUnavailable(f"the journal has not answered for {STORE_TIMEOUT:g} s"))
