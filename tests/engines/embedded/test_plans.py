"""How SQLite goes about what the journal asks of it."""

from collections.abc import Callable
from contextlib import aclosing

import apsw

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.migrations import migrate
from app.jobs.deliveries import Past, Tried
from app.jobs.events import Watch
from app.jobs.models import JobQuery
from app.jobs.webhooks import Webhook
from app.scheduler import Status
from tests.engines.embedded.faults import Faults
from tests.engines.harness import accepted, ended, removed
from tests.engines.puppets import Puppets, job_of

GROWING = ("jobs", "attempts", "labels", "logs", "secrets", "deliveries")

FILTERS = (
    JobQuery(statuses=(Status.PENDING, Status.COMPLETED)),
    JobQuery(statuses=(Status.FAILED,)),
    JobQuery(tasks=("persistent",)),
    JobQuery(tasks=("persistent",), statuses=(Status.COMPLETED,)),
    JobQuery(labels=(("a", "b"), ("c", "d")), tasks=("persistent",)),
    JobQuery(created_after=0, created_before=1),
    JobQuery(owner="anna"),
    JobQuery(owner="anna", statuses=(Status.COMPLETED,)),
    JobQuery(owner="anna", tasks=("persistent",)),
)

COUNTED_ONCE = "SCAN jobs USING COVERING INDEX jobs_by_task"
"""At the start: 35 ms for a million jobs, and counted in memory from then on."""

UNFINISHED_ALONE = "SCAN jobs USING INDEX jobs_unfinished"
"""At the start, too: all of them are to be had, and are sorted."""

EARLIEST_FIRST = "SCAN jobs USING INDEX jobs_finished"
"""The one scan there is: it stops after the jobs that are to be removed next."""


async def test_nothing_slows_down(
    faults: Faults, open_embedded: Callable[..., EmbeddedEngine], puppets: Puppets
) -> None:
    """No statement of a job's whole life looks at more rows as the journal grows."""
    puppets.fail("a", ValueError("first"))
    puppets.end("a", attempt=2)
    hook = Webhook("https://a.example/", "a.example:443")
    more = {"idempotency_key": "k", "fingerprint": b"f", "webhook": hook}
    new = job_of("persistent", "a", labels={"a": "b"}, **more)
    async with open_embedded() as engine:
        await ended(engine, await accepted(engine, new))
        pending = await accepted(engine, job_of("hold", "b", delay=60))
        await engine.list(JobQuery(before=pending.id))
        for filters in FILTERS:
            await engine.list(filters)
        async with aclosing(engine.watch(Watch(since=0))) as events:
            await anext(events)
            await anext(events)
        await engine.inspect(pending.id)
        [[due], _] = await engine.deliveries.take(1, Past(["b"]))
        await engine.deliveries.record(due, Tried(next_at=1))
        await engine.get(due.job.id)
        await engine.figures()
        await engine.figures("anna")
        await engine.deliveries.figures()
        await engine.deliveries.redeliver(due.job.id)
        await engine.cancel(pending.id)
    async with open_embedded(retention=0, housekeeping_every=0.01) as engine:
        await removed(engine, pending)
    verbs = ("WITH", "SELECT", "UPDATE", "INSERT", "DELETE")
    asked = {sql for sql in faults.statements + faults.questions if sql.startswith(verbs)}
    assert len(asked) > 15
    for sql in asked:
        assert not scans(sql), sql


def scans(sql: str) -> list[str]:
    """The steps of SQLite's plan that look at every row of a table that grows."""
    db = apsw.Connection(":memory:")
    migrate(db)
    plan = [detail for *_, detail in db.execute(f"EXPLAIN QUERY PLAN {sql}", _no_values(db, sql))]
    db.close()
    steps = [step for step in plan if step.startswith(tuple(f"SCAN {name}" for name in GROWING))]
    steps = [step for step in steps if step != COUNTED_ONCE or "count(*)" not in sql]
    steps = [step for step in steps if step != UNFINISHED_ALONE or "LIMIT" in sql]
    return [step for step in steps if step != EARLIEST_FIRST or "LIMIT" not in sql]


def _no_values(db: apsw.Connection, sql: str) -> tuple[None, ...]:
    return (None,) * sql.count("?")
