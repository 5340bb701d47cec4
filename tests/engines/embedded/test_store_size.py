from collections.abc import Callable

import pytest

from app.engines.embedded import EmbeddedEngine
from app.jobs.errors import StoreFull
from tests.engines.harness import accepted, ended, removed
from tests.engines.puppets import job_of

LARGE = {"value": "x" * 100_000}


async def test_a_full_store(open_embedded: Callable[..., EmbeddedEngine]) -> None:
    """At its size limit the store refuses submissions, and runs and keeps what it holds."""
    async with open_embedded(max_store_size=200_000) as engine:
        first = await ended(engine, await accepted(engine, job_of("echo", params=LARGE)))
        with pytest.raises(StoreFull) as full:
            await engine.submit(job_of("echo"))
        assert full.value.size >= full.value.limit == 200_000
        assert (await engine.get(first.id)).result == first.result


async def test_room_comes_back(open_embedded: Callable[..., EmbeddedEngine]) -> None:
    """What was removed by its age makes room again."""
    options = {"max_store_size": 200_000, "retention": 0, "housekeeping_every": 0.01}
    async with open_embedded(**options) as engine:
        await removed(engine, await accepted(engine, job_of("echo", params=LARGE)))
        await accepted(engine, job_of("echo"))
