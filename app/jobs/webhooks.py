"""Who wants to be told of a job's end by a webhook, and how the telling goes."""

from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from app.scheduler import Status

EVENTS: Final = tuple(status for status in Status if status.finished)
"""What can be told: the statuses in which a job ends. So of each job at most one thing is."""


class Webhook(Struct, frozen=True):
    """Where a job's end is to be told, if it ends in one of the `events`."""

    url: str
    """May hold what only its owner should know."""
    receiver: str
    """The host and port of the URL."""
    events: tuple[Status, ...] = EVENTS

    def __repr__(self) -> str:
        """Without its URL."""
        return f"Webhook({self.receiver!r}, {self.events})"


class DeliveryStatus(StrEnum):
    """How far a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """No further attempt will be made."""


class Delivery(Struct, frozen=True):
    """The telling of one event. Times are milliseconds since the Unix epoch, UTC."""

    event: Status
    attempts: int = 0
    next_at: int | None = None
    """When the next attempt is due; None when there will be none."""
    delivered_at: int | None = None
    last_status: int | None = None
    """The HTTP status that answered the last attempt."""
    last_error: str | None = None
    """Why the last attempt was not answered."""

    @property
    def status(self) -> DeliveryStatus:
        """How far it is."""
        if self.delivered_at is not None:
            return DeliveryStatus.DELIVERED
        return DeliveryStatus.FAILED if self.next_at is None else DeliveryStatus.PENDING


def delivery_id(job_id: UUID, event: Status) -> str:
    """What names one event, and is the same in every attempt to tell it."""
    return f"job_{job_id.hex}_{event}"
