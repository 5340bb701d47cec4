import asyncio
from contextlib import aclosing

import pytest

from app.engines.embedded import EmbeddedEngine
from app.jobs.events import EventKind, JobEvent, Watch
from app.jobs.watching import ALIVE_EVERY
from tests.engines.clock import skip
from tests.engines.harness import accepted
from tests.engines.puppets import Puppets, job_of


@pytest.mark.parametrize("of_one_job", [False, True])
async def test_a_silent_stream_says_that_it_lives(
    engine: EmbeddedEngine, puppets: Puppets, of_one_job: bool
) -> None:
    """When nothing has happened for a while the stream says so, and goes on."""
    job = await accepted(engine, job_of("hold", "a"))
    await puppets.begun("a")
    async with aclosing(engine.watch(Watch(job_id=job.id if of_one_job else None))) as events:
        await anext(events)
        reading: asyncio.Future[JobEvent] = asyncio.ensure_future(anext(events))
        while not reading.done():
            skip(ALIVE_EVERY)
            await asyncio.sleep(0)
        assert reading.result().kind is EventKind.ALIVE
        puppets.end("a")
        while (event := await anext(events)).kind is EventKind.ALIVE:
            pass
        assert event.kind is EventKind.DONE
