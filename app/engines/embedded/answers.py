"""What callers wait for while the journal writes: futures that outlive them if need be."""

import asyncio
from typing import Any, Final, TypeVar

from app.jobs.errors import JobsError, StoreUnavailable

T = TypeVar("T")

STORE_TIMEOUT: Final = 10.0
"""Seconds that a caller waits for the journal before it is told that the store is unavailable."""


async def answer(done: asyncio.Future[T]) -> T:
    """What the journal answers; the change goes on when the caller does not wait for it."""
    await asyncio.wait((done,), timeout=STORE_TIMEOUT)
    if not done.done():
        raise StoreUnavailable(f"the journal has not answered for {STORE_TIMEOUT:g} s")
    return done.result()


def refuse(done: asyncio.Future[Any], error: JobsError) -> None:
    """Answer with an error, which is no loss if nobody waits for it any more."""
    done.set_exception(error)
    done.exception()
