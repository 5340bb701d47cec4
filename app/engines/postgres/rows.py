"""Between a job and its row."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from app.jobs.figures import Kind
from app.jobs.models import Attempt, Job, Millis, Progress
from app.jobs.stored import STATUSES, error_of, labels_of, webhook_of
from app.jobs.texts import to_json
from app.scheduler import Status

Row: TypeAlias = Sequence[Any]

_SMALL: Final = (
    "j.id, j.version, j.status, j.task, j.owner, j.priority, j.timeout, j.attempt, "
    "j.max_attempts, j.run_at, j.start_by, j.started_at, j.finished_at, j.cancel_requested_at, "
    "j.traceparent, j.webhook, j.labels, j.error"
)

COLUMNS: Final = f"{_SMALL}, j.params, j.result"
"""The columns of `jobs j`, in the order of `job_of`."""

SUMMARY: Final = f"{_SMALL}, '{{}}'::bytea, NULL::bytea"
"""The columns without what may be large: as if there were no params and no result."""


def job_of(
    row: Row, retention: Millis, earlier: Iterable[Row] = (), progress: str | None = None
) -> Job:
    """The job of a row and of its earlier attempts; it expires `retention` after its end."""
    (
        job_id, version, status, task, owner, priority, timeout, attempt, max_attempts, run_at,
        start_by, started_at, finished_at, cancel_requested_at, traceparent, webhook, labels,
        error, params, result,
    ) = row  # fmt: skip
    status, error = STATUSES[status], error_of(error)
    attempts = tuple(_attempt_of(*attempt) for attempt in earlier)
    if started_at is not None:
        outcome = status if status.finished else None
        attempts += (Attempt(attempt, started_at, finished_at, outcome, error),)
    return Job(
        id=job_id,
        task=task,
        status=status,
        version=version,
        params=bytes(params),
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
        result=None if result is None else bytes(result),
        error=error,
        progress=progress_of(progress) if status is Status.RUNNING else None,
        owner=owner,
        traceparent=traceparent,
        webhook=webhook_of(webhook),
    )


def label_key(name: str, value: str) -> str:
    """A label as the table's index has it: text of PostgreSQL has no NUL, JSON escapes it."""
    return to_json([name, value]).decode()


def progress_text(progress: Progress | None) -> str | None:
    """Progress as the table keeps it."""
    if progress is None:
        return None
    return to_json([progress.fraction, progress.message]).decode()


def progress_of(text: str | None) -> Progress | None:
    """The inverse of `progress_text`."""
    return None if text is None else Progress(*json.loads(text))


def numbers_of(rows: Sequence[Row]) -> dict[Kind, int]:
    """Numbers by owner, task and status."""
    return {(owner, task, STATUSES[code]): number for owner, task, code, number in rows}


def counts_of(rows: Sequence[Row]) -> dict[Kind, int]:
    """Counts by owner, task and status; under no owner they are of all jobs."""
    counts: Counter[Kind] = Counter()
    for owner, task, code, number in rows:
        for who in {owner, None}:
            counts[who, task, STATUSES[code]] += number
    return counts


def _attempt_of(
    number: int, started_at: int, finished_at: int, outcome: int, error: str | None
) -> Attempt:
    return Attempt(number, started_at, finished_at, STATUSES[outcome], error_of(error))
