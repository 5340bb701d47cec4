"""Parts of a job as text, as every engine keeps them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec.json import Decoder
from msgspec.structs import replace

from app.jobs.events import LogLine
from app.jobs.models import ErrorType, Job, JobError
from app.jobs.texts import texts_to_json, to_json
from app.jobs.webhooks import Delivery, Webhook
from app.scheduler import Status

DELIVERY: Final = "attempts, next_at, delivered_at, last_status, last_error"
"""The columns of a delivery, in the order of `with_deliveries`."""

STATUSES: Final = tuple(Status)
"""The status of each code; their order never changes."""

CODES: Final = {status: code for code, status in enumerate(STATUSES)}

_error: Final = Decoder(tuple[ErrorType, str, str | None])
_labels: Final = Decoder(dict[str, str])


def labels_text(labels: Mapping[str, str]) -> str | None:
    """Labels as text; None for none."""
    return texts_to_json(dict(labels)).decode() if labels else None


def labels_of(text: str | None) -> dict[str, str]:
    """The inverse of `labels_text`."""
    return _labels.decode(text) if text else {}


def error_text(error: JobError | None) -> str | None:
    """An error as text."""
    if error is None:
        return None
    return texts_to_json([error.type, error.message, error.exception]).decode()


def error_of(text: str | None) -> JobError | None:
    """The inverse of `error_text`."""
    if text is None:
        return None
    return JobError(*_error.decode(text))


def lines_text(lines: Iterable[LogLine] | None) -> str | None:
    """Log lines as text; None for none."""
    rows = [[line.number, line.time, line.attempt, line.message] for line in lines or ()]
    return to_json(rows).decode() if rows else None


def lines_of(text: str | None) -> tuple[LogLine, ...]:
    """The inverse of `lines_text`."""
    return tuple(LogLine(*row) for row in json.loads(text)) if text else ()


def webhook_text(webhook: Webhook | None) -> str | None:
    """A webhook as text: a JSON array that stores look into, with the codes of its events."""
    if webhook is None:
        return None
    codes = [CODES[event] for event in webhook.events]
    return to_json([webhook.url, webhook.receiver, codes]).decode()


def webhook_of(text: str | None) -> Webhook | None:
    """The inverse of `webhook_text`."""
    if text is None:
        return None
    url, receiver, codes = json.loads(text)
    return Webhook(url, receiver, tuple(STATUSES[code] for code in codes))


def with_deliveries(job: Job, rows: Iterable[Sequence[Any]]) -> Job:
    """The job with the rows of its deliveries, all of them of the status that it ended in."""
    deliveries = tuple(Delivery(job.status, *row) for row in rows)
    return replace(job, deliveries=deliveries)
