"""What the embedded engine has to deliver: the port over its journal."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

from app.engines.embedded.answers import refuse, resolve
from app.engines.embedded.batch import Write
from app.engines.embedded.delivery_rows import RecordAttempt, Redeliver
from app.engines.embedded.journal import Journal
from app.jobs.deliveries import Attempts, DeliveryFigures, Due, Past, Tried
from app.jobs.models import Millis


class JournalDeliveries:
    """The deliveries of a journal; memory holds only those that are being tried."""

    def __init__(self, journal: Journal, now: Callable[[], Millis]) -> None:
        self._journal = journal
        self._now = now
        self._held: set[UUID] = set()
        self.attempts = Attempts()
        """Those of this process."""
        self.news = asyncio.Event()
        """Set when there may be more to take than there was."""

    async def take(self, limit: int, past: Past) -> tuple[Sequence[Due], float | None]:
        """Those that are due, and the seconds until a further one will be.

        Jobs have their turns meanwhile, however many receivers there are.
        """
        now = self._now()
        found: list[Due] = []
        upto: str | None = past.receiver
        while upto is not None and len(found) < limit:
            rest = Past(past.busy, upto)
            more, upto = self._journal.reader.due(now, limit - len(found), rest, self._held)
            found += more
            await asyncio.sleep(0)
        next_at = self._journal.reader.next_due(now)
        self._held.update(due.job.id for due in found)
        return found, None if next_at is None else (next_at - now) / 1000

    async def figures(self) -> DeliveryFigures:
        """How many are pending, and what was lost."""
        pending, oldest, lost = self._journal.reader.delivery_counts()
        return DeliveryFigures(pending=pending, oldest=oldest, lost=lost, attempts=self.attempts)

    async def any_left(self) -> bool:
        """Whether anything is to be told."""
        return self._journal.reader.next_due(0) is not None

    async def record(self, due: Due, tried: Tried) -> None:
        """Write what an attempt came to, however long the store takes: it has been made."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        change = RecordAttempt(due.job.id, due.attempts, tried)
        then = partial(self._recorded, due.job.id, done)
        self._journal.deliver(Write(change, then, can_wait=True))
        await done

    async def redeliver(self, job_id: UUID) -> bool:
        """Have the end of a job told once more; gives False when there is nothing to tell."""
        answers = self._journal.answers
        done: asyncio.Future[bool] = answers.new()
        change = Redeliver(job_id, self._now())
        self._journal.deliver(Write(change, partial(self._due, done), partial(refuse, done)))
        return await answers.wait(done)

    def _due(self, done: asyncio.Future[bool], was_there: bool) -> None:
        """A delivery is due, be it that nobody waits for that any more."""
        self.news.set()
        resolve(done, was_there)

    def _recorded(self, job_id: UUID, done: asyncio.Future[None], _: bool | None) -> None:
        self._held.discard(job_id)
        if not done.done():
            done.set_result(None)
