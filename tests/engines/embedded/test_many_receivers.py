"""Webhooks to very many receivers."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.journal import FILE
from app.jobs.deliveries import Past
from app.jobs.webhooks import Webhook
from tests.engines.harness import accepted, ended
from tests.engines.puppets import job_of

MANY: Final = 5_000
WAITING: Final = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) "
    "INSERT INTO deliveries (high, receiver, since, attempts, next_at) "
    "SELECT i, 'a' || i || '.example:443', 0, 1, 1 << 50 FROM n"
)
"""Deliveries that are not due, each of another receiver."""


async def test_a_look_past_many_receivers(
    open_embedded: Callable[..., EmbeddedEngine], store: Path
) -> None:
    """Jobs have their turns while what is due is looked for, and what is due is found."""
    async with open_embedded():
        pass
    db = apsw.Connection(str(store / FILE))
    db.execute(WAITING, (MANY,))
    db.close()
    async with open_embedded() as engine:
        hook = Webhook("https://z.example/", "z.example:443")
        job = await ended(engine, await accepted(engine, job_of("echo", webhook=hook)))
        looking = asyncio.ensure_future(engine.deliveries.take(10, Past()))
        turns = 0
        while not looking.done():
            await asyncio.sleep(0)
            turns += 1
    [due], _ = await looking
    assert due.job.id == job.id
    assert turns > MANY // 1_000
