"""Deliveries of which the journal is slow to hear."""

import asyncio

from app.engines.embedded import EmbeddedEngine
from app.jobs.deliveries import Past, Tried
from app.jobs.webhooks import Webhook
from tests.engines.harness import LONG, accepted, ended
from tests.engines.puppets import job_of

HOOK = Webhook("http://a.example/hook", "a.example:80")


async def test_whoever_asked_for_it_has_given_up(engine: EmbeddedEngine) -> None:
    """What is to be told once more is told at once, though nobody waits for that to be durable."""
    job = await ended(engine, await accepted(engine, job_of("echo", webhook=HOOK)))
    [due], _ = await engine.deliveries.take(1, Past())
    await engine.deliveries.record(due, Tried(delivered_at=1, status=204))
    engine.deliveries.news.clear()
    asking = asyncio.create_task(engine.deliveries.redeliver(job.id))
    await asyncio.sleep(0)
    asking.cancel()
    async with asyncio.timeout(LONG):
        await engine.deliveries.news.wait()
    assert (await engine.get(job.id)).deliveries[0].next_at is not None
