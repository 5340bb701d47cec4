"""A limit to what the store takes. What stands here is promised by every engine."""

import asyncio
from collections.abc import Callable
from random import Random

from app.jobs.engine import Engine
from app.jobs.errors import StoreFull
from tests.engines.harness import LONG, accepted, ended, removed
from tests.engines.puppets import job_of

LARGE = {"value": Random(1).randbytes(50_000).hex()}
"""Twice in the store, as params and as the result, and hard to compress."""


async def refused(engine: Engine) -> StoreFull:
    """Submit until the store is full, which some see a moment later."""
    async with asyncio.timeout(LONG):
        while True:
            try:
                await accepted(engine, job_of("echo"))
            except StoreFull as full:
                return full


async def test_a_full_store(open_engine: Callable[..., Engine]) -> None:
    """At its size limit the store refuses submissions, and runs and keeps what it holds."""
    async with open_engine(max_store_size=120_000) as engine:
        first = await ended(engine, await accepted(engine, job_of("echo", params=LARGE)))
        full = await refused(engine)
        assert full.size >= full.limit == 120_000
        assert (await engine.get(first.id)).result == first.result


async def test_room_comes_back(open_engine: Callable[..., Engine]) -> None:
    """What was removed by its age makes room again."""
    options = {"max_store_size": 120_000, "retention": 0, "housekeeping_every": 0.01}
    async with open_engine(**options) as engine:
        job = await accepted(engine, job_of("echo", params=LARGE))
        await removed(engine, job)
        async with asyncio.timeout(LONG):
            while True:
                try:
                    await accepted(engine, job_of("echo"))
                    break
                except StoreFull:
                    await asyncio.sleep(0.01)
