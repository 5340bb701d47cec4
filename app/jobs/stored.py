"""Parts of a job as text, as every engine keeps them."""

import json
from collections.abc import Iterable

from app.jobs.events import LogLine
from app.jobs.models import ErrorType, JobError
from app.jobs.texts import to_json


def error_text(error: JobError | None) -> str | None:
    """An error as text."""
    if error is None:
        return None
    return to_json([error.type, error.message, error.exception]).decode()


def error_of(text: str | None) -> JobError | None:
    """The inverse of `error_text`."""
    if text is None:
        return None
    kind, message, exception = json.loads(text)
    return JobError(ErrorType(kind), message, exception)


def lines_text(lines: Iterable[LogLine] | None) -> str | None:
    """Log lines as text; None for none."""
    rows = [[line.number, line.time, line.attempt, line.message] for line in lines or ()]
    return to_json(rows).decode() if rows else None


def lines_of(text: str | None) -> tuple[LogLine, ...]:
    """The inverse of `lines_text`."""
    return tuple(LogLine(*row) for row in json.loads(text)) if text else ()
