"""Coroutines that wait to be interrupted, named for how they end then."""

import asyncio


async def wait_for_ever() -> int:
    """Ends only when it is told to."""
    await asyncio.Event().wait()
    raise AssertionError


async def return_a_value() -> int:
    """Catches what it is told, and returns a value."""
    try:
        return await wait_for_ever()
    except asyncio.CancelledError:
        return 7


async def return_none() -> int | None:
    """Catches what it is told, and returns None."""
    try:
        return await wait_for_ever()
    except asyncio.CancelledError:
        return None


async def return_nothing() -> int:
    """As `return_none`, though a number was promised."""
    return await return_none()  # type: ignore[return-value]


async def return_a_text() -> int:
    """Catches what it is told, and returns what is no int."""
    await return_none()
    return "7"  # type: ignore[return-value]


async def raise_an_error() -> int:
    """Fails while it cleans up."""
    try:
        return await wait_for_ever()
    finally:
        raise ConnectionError("no connection")


async def raise_an_exit() -> int:
    """Leaves while it cleans up."""
    try:
        return await wait_for_ever()
    finally:
        raise SystemExit(3)
