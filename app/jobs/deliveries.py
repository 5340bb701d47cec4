"""The port of the deliveries: what is to be told, and what attempts to tell it came to."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from app.jobs.models import Job, Millis
from app.jobs.record import record
from app.jobs.webhooks import Webhook


@record(frozen=True, slots=True)
class Due:
    """A delivery that is to be tried now: of the end of `job`, after so many `attempts`."""

    job: Job
    webhook: Webhook
    attempts: int


@record(frozen=True, slots=True, kw_only=True)
class Tried:
    """What one attempt came to. With neither time the delivery has failed for good."""

    next_at: Millis | None = None
    delivered_at: Millis | None = None
    status: int | None = None
    """The HTTP status that answered it."""
    error: str | None = None
    """Why nothing did."""


@record(frozen=True, slots=True)
class Past:
    """Which receivers are passed over: those that are busy, and those up to one, by their names."""

    busy: Collection[str] = ()
    receiver: str = ""


class Deliveries(Protocol):
    """What an engine has to deliver.

    A delivery is durable together with the end of its job, and goes when the job does. It is held
    for whoever took it until the attempt is recorded; what a crash cuts off is to be tried again.
    """

    @property
    def news(self) -> asyncio.Event:
        """Set when there may be more to take than there was."""

    async def take(self, limit: int, past: Past) -> tuple[Sequence[Due], float | None]:
        """Up to `limit` that are due, at most one for each receiver, in the order of their names.

        And the seconds until a further one will be due, None if there is none.
        Raises `StoreUnavailable`.
        """

    async def any_left(self) -> bool:
        """Whether anything is to be told, now or later. Raises `StoreUnavailable`."""

    async def record(self, due: Due, tried: Tried) -> None:
        """Write what an attempt came to; returns when it is durable. Raises `StoreUnavailable`."""
