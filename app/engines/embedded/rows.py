"""Between a job and its row in the journal. Values are encoded before they queue for the writer."""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from app.jobs.ids import from_halves, halves
from app.jobs.models import Attempt, Job, Millis
from app.jobs.stored import (
    CODES,
    STATUSES,
    error_of,
    labels_of,
    labels_text,
    webhook_of,
    webhook_text,
)

Row: TypeAlias = tuple[Any, ...]

COLUMNS: Final = (
    "high, low, version, status, task, owner, priority, timeout, attempt, max_attempts, run_at, "
    "start_by, started_at, finished_at, cancel_requested_at, traceparent, webhook, labels, error, "
    "params, result"
)

SUMMARY: Final = COLUMNS.replace("params, result", "x'7b7d', NULL")
"""The columns without what may be large: as if there were no params and no result."""


def row_of(job: Job, key: str | None, fingerprint: bytes | None) -> Row:
    """The row of a job that has not finished, in the order of `COLUMNS`, and what its key is."""
    return (
        *halves(job.id),
        job.version,
        CODES[job.status],
        job.task,
        job.owner,
        job.priority,
        job.timeout,
        job.attempt,
        job.max_attempts,
        job.run_at,
        job.start_by,
        job.started_at,
        None,
        None,
        job.traceparent,
        webhook_text(job.webhook),
        labels_text(job.labels),
        None,
        job.params,
        None,
        key,
        fingerprint,
    )


def job_of(row: Row, earlier: Iterable[Row] = (), retention: Millis = 0) -> Job:
    """The job of a row and of its earlier attempts; it expires `retention` after its end."""
    (
        high, low, version, status, task, owner, priority, timeout, attempt, max_attempts, run_at,
        start_by, started_at, finished_at, cancel_requested_at, traceparent, webhook, labels,
        error, params, result,
    ) = row  # fmt: skip
    status, error = STATUSES[status], error_of(error)
    attempts = tuple(_attempt_of(*attempt) for attempt in earlier)
    if started_at is not None:
        outcome = status if status.finished else None
        attempts += (Attempt(attempt, started_at, finished_at, outcome, error),)
    return Job(
        id=from_halves(high, low),
        task=task,
        status=status,
        version=version,
        params=params,
        labels=labels_of(labels),
        priority=priority,
        timeout=timeout,
        attempt=attempt,
        max_attempts=max_attempts,
        attempts=attempts,
        run_at=run_at,
        start_by=start_by,
        started_at=started_at,
        finished_at=finished_at,
        expires_at=None if finished_at is None else finished_at + retention,
        cancel_requested_at=cancel_requested_at,
        result=result,
        error=error,
        owner=owner,
        traceparent=traceparent,
        webhook=webhook_of(webhook),
    )


def _attempt_of(
    number: int, started_at: int, finished_at: int, outcome: int, error: str | None
) -> Attempt:
    return Attempt(number, started_at, finished_at, STATUSES[outcome], error_of(error))
