"""What can be said about a submission beside its task and params, and about lists."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import uuid4

from app.client.records import Webhook
from app.client.wire import SUMMARY, Request, to_json

_HEADERS = ("idempotency_key", "traceparent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a job is to run. Given in front of the params, so that neither is taken for the other.

    `client.submit("check_links", Options(priority=5, labels={"order": "42"}), url=…)`
    """

    priority: int | None = None
    """Higher first; None: the task's own, which is usually 0."""
    delay: float | None = None
    """Seconds until it is due; or give `run_at`."""
    run_at: datetime | None = None
    """When it is due, a time with its zone; or give `delay`."""
    start_within: float | None = None
    """Seconds past its due time after which it fails rather than start."""
    timeout: float | None = None
    """Seconds that one attempt may take; at most, and by default, the task's own."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Names and values of your own, kept with the job."""
    webhook: Webhook | None = None
    """Who is told when it has ended."""
    idempotency_key: str | None = None
    """Submissions with the same key make one job; None: a new key for each call of `submit`."""
    traceparent: str | None = None
    """The trace that it belongs to (W3C Trace Context)."""


def submission(options: Options | None, **members: Any) -> Request:
    """The submission of a job. `members` that are None are left out."""
    options = options or Options()
    given = {f.name: getattr(options, f.name) for f in fields(options) if f.name not in _HEADERS}
    if options.run_at is not None:
        given["run_at"] = options.run_at.isoformat()
    if options.webhook is not None:
        given["webhook"] = {"url": options.webhook.url, "events": options.webhook.events}
    body = {name: value for name, value in (members | given).items() if value not in (None, {})}
    headers = SUMMARY | {
        "Content-Type": "application/json",
        "Idempotency-Key": _header("idempotency_key", options.idempotency_key, str(uuid4())),
    }
    if options.traceparent is not None:
        headers["traceparent"] = _header("traceparent", options.traceparent)
    return Request("POST", "/jobs", headers, to_json(body))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which jobs: several values of one filter are alternatives, all filters have to fit."""

    status: str | Iterable[str] = ()
    task: str | Iterable[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    created_after: datetime | None = None
    """The earliest time, with its zone."""
    created_before: datetime | None = None
    """After the latest time."""

    def query(self) -> list[tuple[str, str]]:
        """As the service spells them."""
        times = {"created_after": self.created_after, "created_before": self.created_before}
        return [
            *(("status", str(value)) for value in _several(self.status)),
            *(("task", value) for value in _several(self.task)),
            *(("label", f"{name}:{value}") for name, value in self.labels.items()),
            *((name, time.isoformat()) for name, time in times.items() if time is not None),
        ]


def _header(name: str, text: str | None, default: str = "") -> str:
    """The value of a header; raises `ValueError` for one that cannot be sent."""
    if text is None:
        return default
    if not (text.strip() and text.isascii() and text.isprintable()):
        raise ValueError(f"{name} is {text!r}: give some printable ASCII characters, or None")
    return text


def _several(value: str | Iterable[str]) -> Iterable[str]:
    return (value,) if isinstance(value, str) else value
