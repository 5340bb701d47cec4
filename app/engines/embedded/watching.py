"""What the embedded engine has to tell those who watch."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from app.engines.embedded.dispatcher import Dispatcher
from app.engines.embedded.journal import Journal
from app.jobs.events import LogLine
from app.jobs.live import LiveJob
from app.jobs.models import Job, Progress

_BATCH: Final = 100


class WatchedJournal:
    """The journal, and what runs here. `Watched` says what each method promises."""

    def __init__(self, journal: Journal, dispatcher: Dispatcher) -> None:
        self._journal = journal
        self._dispatcher = dispatcher

    def live(self, job_id: UUID) -> LiveJob | None:
        """All jobs that run do so here."""
        return self._dispatcher.live(job_id)

    def running_jobs(self) -> Sequence[UUID]:
        """Those that the dispatcher runs."""
        return self._dispatcher.running_jobs()

    async def begin(self) -> None:
        """Have written soon what could wait."""
        self._journal.hurry()

    async def get(self, job_id: UUID) -> Job | None:
        """As the journal has it."""
        return self._journal.reader.get(job_id)

    async def known(self, job_id: UUID) -> Job | None:
        """The same."""
        return self._journal.reader.get(job_id)

    async def reports(self, job_id: UUID) -> tuple[Progress | None, Sequence[LogLine]]:
        """The lines of its last attempt; progress is not kept."""
        return None, self._journal.reader.lines(job_id)

    async def position(self) -> int:
        """All that is written is told."""
        return self._journal.reader.last_version()

    async def reaches(self, since: int) -> bool:
        """From the last removal on."""
        reader = self._journal.reader
        return reader.last_removed_version() <= since <= reader.last_version()

    async def changed_since(self, version: int) -> Sequence[Job]:
        """A batch of them."""
        return self._journal.reader.changed_since(version, _BATCH)
