"""What the embedded engine does now and then: forget what is past its time."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from functools import partial
from typing import Final

from app.engines.embedded.answers import refuse, resolve
from app.engines.embedded.config import EmbeddedConfig
from app.engines.embedded.dispatcher import Dispatcher
from app.engines.embedded.journal import Journal
from app.jobs.deliveries import LOST
from app.jobs.errors import StoreUnavailable
from app.jobs.figures import Kind
from app.jobs.ledger import Ledgers

log = logging.getLogger(__name__)

REMOVE_AT_ONCE: Final = 100
"""Jobs removed in one change, few enough to hold up other changes for a moment only."""


class Housekeeping:
    """Removes what is past its retention, and fails what waits for a task that is gone."""

    def __init__(
        self, journal: Journal, dispatcher: Dispatcher, ledger: Ledgers, config: EmbeddedConfig
    ) -> None:
        self._journal = journal
        self._dispatcher = dispatcher
        self._ledger = ledger
        self._config = config
        self._task: asyncio.Task[None] | None = None
        self._lost: int | None = None
        """Deliveries that had been lost when that was last looked at."""
        self.loop_lag = 0.0
        """Seconds that the event loop was last late by."""

    def start(self) -> None:
        """Begin; the first round comes after a pause."""
        with contextlib.suppress(StoreUnavailable):
            self._lost = self._deliveries_lost()
        self._task = asyncio.create_task(self._run(), name="awaitd-housekeeper")

    async def stop(self) -> None:
        """End with what is being done."""
        assert self._task is not None, "the engine is not open"
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        while True:
            await self._rest()
            try:
                await self._tidy()
            except Exception:  # whatever it is, the next round tries again
                log.exception("the journal was not tidied")

    async def _rest(self) -> None:
        """Sleep, and note by how much the event loop was late to wake us."""
        loop, pause = asyncio.get_running_loop(), self._config.housekeeping_every
        due = loop.time() + pause
        await asyncio.sleep(pause)
        self.loop_lag = round(max(0.0, loop.time() - due), 4)

    async def _tidy(self) -> None:
        self._dispatcher.fail_unknown()
        with contextlib.suppress(StoreUnavailable):
            await self._journal.forget_scrubbed()
        try:
            while sum((await self._remove_expired()).values()) == REMOVE_AT_ONCE:
                pass
        finally:
            self._tell_of_lost()

    def _tell_of_lost(self) -> None:
        with contextlib.suppress(StoreUnavailable):
            before, self._lost = self._lost, self._deliveries_lost()
            if before is not None and self._lost > before:
                log.warning(LOST, self._lost - before)

    def _deliveries_lost(self) -> int:
        """How many deliveries have been removed with their jobs, ever."""
        return self._journal.reader.delivery_counts()[-1]

    async def _remove_expired(self) -> Mapping[Kind, int]:
        answers = self._journal.answers
        done: asyncio.Future[Mapping[Kind, int]] = answers.new()
        now, refused = self._config.now(), partial(refuse, done)
        then = partial(self._removed, done)
        self._journal.remove_expired(now, REMOVE_AT_ONCE, then, refused)
        try:
            return await answers.wait(done)
        except StoreUnavailable:
            return {}  # the writer has logged why; the next round tries again

    def _removed(self, done: asyncio.Future[Mapping[Kind, int]], gone: Mapping[Kind, int]) -> None:
        if gone:
            self._journal.reader.recent.clear()
        self._ledger.removed(gone)  # also when the answer comes too late for who waited for it
        resolve(done, gone)
