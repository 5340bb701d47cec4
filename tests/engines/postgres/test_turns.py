"""Whose turn it is to claim."""

import asyncio
from functools import partial

from app.engines.postgres.turns import Turns
from tests.engines.clock import skip


def inserted(dispatch: int) -> str:
    """What Procrastinate says of a new job."""
    return f'{{"type": "job_inserted", "job_id": {dispatch}}}'


async def test_turns() -> None:
    """Of workers alike each is the first for some dispatches, and exactly one for each."""
    firsts = []
    for dispatch in range(0, 96, 16):
        woken: list[int] = []
        for own in (3, 5, 9):
            turns = Turns(partial(woken.append, own))
            turns.alike = (3, 5, 9)
            turns.dispatched(inserted(dispatch), own)
            turns.claims()
        firsts += woken
    assert firsts == [3, 5, 9, 3, 5, 9]


async def test_patience() -> None:
    """Who is not the first tries soon after, once for all that it heard of."""
    woken = asyncio.Semaphore(0)
    turns = Turns(woken.release)
    turns.alike = (3, 5)
    turns.dispatched(inserted(0), 5)
    turns.dispatched(inserted(1), 5)
    assert woken.locked()
    skip(0.05)
    await woken.acquire()
    await asyncio.sleep(0)
    assert woken.locked()


async def test_claimed_meanwhile() -> None:
    """A claim for another reason is for all that was heard before; later news count again."""
    woken = asyncio.Semaphore(0)
    turns = Turns(woken.release)
    turns.alike = (3, 5)
    turns.dispatched(inserted(0), 5)
    turns.claims()
    skip(0.05)
    for _ in range(3):
        await asyncio.sleep(0)
    assert woken.locked()
    turns.dispatched(inserted(0), 5)
    skip(0.05)
    await woken.acquire()


async def test_not_known_yet() -> None:
    """A worker that the others do not know yet tries at once; a cancel is nothing to claim."""
    woken = asyncio.Semaphore(0)
    turns = Turns(woken.release)
    turns.dispatched('{"type": "abort_job_requested", "job_id": 0}', 5)
    assert woken.locked()
    turns.dispatched(inserted(0), 5)
    await woken.acquire()
    turns.alike = (3,)
    turns.dispatched(inserted(0), 5)
    await woken.acquire()
