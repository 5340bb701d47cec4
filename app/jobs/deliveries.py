"""The port of the deliveries: what is to be told, and what attempts to tell it came to."""

import asyncio
from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import Final, Protocol
from uuid import UUID

from msgspec import Struct

from app.jobs.models import Job, Millis
from app.jobs.observer import OF_ANSWERS, Buckets
from app.jobs.webhooks import Webhook

LOST: Final = "webhooks given up because their jobs were removed before they were delivered: %d"
"""What the log says of them, however many they are."""


class Due(Struct, frozen=True):
    """A delivery that is to be tried now: of the end of `job`, after so many `attempts`."""

    job: Job
    webhook: Webhook
    attempts: int


class Tried(Struct, frozen=True, kw_only=True):
    """What one attempt came to. With neither time the delivery has failed for good."""

    next_at: Millis | None = None
    delivered_at: Millis | None = None
    status: int | None = None
    """The HTTP status that answered it."""
    error: str | None = None
    """Why nothing did."""


class Attempts:
    """The attempts to deliver that this process has made."""

    def __init__(self) -> None:
        self.outcomes = dict.fromkeys(("delivered", "refused", "unanswered"), 0)
        """How many were answered with success, with another status, and not at all."""
        self.given_up = dict.fromkeys(("attempts", "gone"), 0)
        """How many were the last one: none was left, or the receiver said that it is gone."""
        self.seconds = Buckets(OF_ANSWERS)

    def add(self, tried: Tried, seconds: float) -> None:
        """Count one."""
        self.seconds.add(seconds)
        if tried.delivered_at is not None:
            self.outcomes["delivered"] += 1
            return
        self.outcomes["unanswered" if tried.status is None else "refused"] += 1
        if tried.next_at is None:
            self.given_up["gone" if tried.status == HTTPStatus.GONE else "attempts"] += 1


class DeliveryFigures(Struct, frozen=True, kw_only=True):
    """The deliveries at a glance."""

    pending: int
    """How many are to be made, now or later."""
    oldest: Millis | None
    """Since when that is so of the one that has waited longest."""
    lost: int
    """How many were removed with their jobs before they were made."""
    attempts: Attempts


class Past(Struct, frozen=True):
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

    @property
    def attempts(self) -> Attempts:
        """Those of this process, counted by whoever makes them."""

    async def figures(self) -> DeliveryFigures:
        """How many are pending, in the whole store; maybe as of some moments ago.

        Raises `StoreUnavailable`.
        """

    async def any_left(self) -> bool:
        """Whether anything is to be told, now or later. Raises `StoreUnavailable`."""

    async def record(self, due: Due, tried: Tried) -> None:
        """Write what an attempt came to; returns when it is durable. Raises `StoreUnavailable`."""

    async def redeliver(self, job_id: UUID) -> bool:
        """Have the end of a job told once more and at once; durable when it returns.

        Whether it was delivered, has failed or is pending: then an attempt that is being made is
        the one. Gives False when there is nothing to tell. Raises `StoreUnavailable`.
        """
