"""The filters of a list and of a stream, from the query."""

from typing import Final, TypeVar

from fastapi import Request

from app.api.patterns import MAX_REPEATED
from app.api.problems import Problem
from app.api.times import millis_of
from app.jobs.models import JobQuery, Millis
from app.scheduler import Status

REPEATABLE: Final = ("status", "task", "label")

T = TypeVar("T")


def filters_of(request: Request) -> JobQuery:
    """The same name repeated is OR, different names are AND, several labels are AND.

    Raises `Problem` for a value that is none.
    """
    query = request.query_params
    if any(len(query.getlist(name)) > MAX_REPEATED for name in REPEATABLE):
        raise _invalid(f"a filter may be given up to {MAX_REPEATED} times")
    return JobQuery(
        statuses=_unique([_status(value) for value in query.getlist("status")]),
        tasks=_unique(query.getlist("task")),
        labels=_unique([_label(value) for value in query.getlist("label")]),
        created_after=_time(request, "created_after"),
        created_before=_time(request, "created_before"),
    )


def _status(value: str) -> Status:
    try:
        return Status(value)
    except ValueError as error:
        raise _invalid(f"status is one of {', '.join(Status)}") from error


def _label(value: str) -> tuple[str, str]:
    name, colon, rest = value.partition(":")
    if not (name and colon):
        raise _invalid("label is a name and a value, such as label=order:42")
    return name, rest


def _time(request: Request, name: str) -> Millis | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return millis_of(text)
    except ValueError as error:
        raise _invalid(f"{name}: {error}") from error


def _unique(values: list[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def _invalid(detail: str) -> Problem:
    return Problem("invalid-parameter", detail)
