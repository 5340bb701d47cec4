"""Pages of jobs by filter. Each combination of values comes out of one index, newest first.

So a page costs the same at the millionth job as at the first, for each filter alone and for status
with task; labels leave the choice between two ways to PostgreSQL's statistics.
"""

from typing import Any, Final
from uuid import UUID

from app.engines.postgres.rows import SUMMARY, label_key
from app.jobs.ids import first_at
from app.jobs.models import JobQuery, Millis
from app.jobs.stored import CODES, STATUSES

PROGRESS: Final = "LEFT JOIN reports r ON r.id = j.id AND r.attempt = j.attempt AND j.status = 1"
"""The progress that was reported of the attempt that runs."""

_MOST: Final = UUID(int=(1 << 128) - 1)
_LATEST: Final = 281_474_976_710_655
"""Milliseconds of the last time that an id can carry."""


def page_of(query: JobQuery) -> tuple[str, list[Any]]:
    """A page and one more: each combination of values out of one index in order, then merged."""
    conditions, common = _conditions(query)
    parts: list[str] = []
    values: list[Any] = []
    for statuses, tasks in _streams(query):
        where = [
            *conditions,
            *(["status = %s"] if statuses else []),
            *(["task = %s"] if tasks else []),
        ]
        parts.append(f"(SELECT id FROM jobs WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT %s)")
        values += [*common, *statuses, *tasks, query.limit + 1]
    text = (
        f"SELECT {SUMMARY}, r.progress FROM ({' UNION ALL '.join(parts)}) AS page "
        f"JOIN jobs j USING (id) {PROGRESS} ORDER BY j.id DESC LIMIT %s"
    )
    return text, [*values, query.limit + 1]


def _streams(query: JobQuery) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
    statuses: list[tuple[int, ...]]
    tasks: list[tuple[str, ...]]
    statuses = [(CODES[status],) for status in dict.fromkeys(query.statuses)] or [()]
    tasks = [(task,) for task in dict.fromkeys(query.tasks)] or [()]
    if query.tasks and not query.statuses:  # the index by task has the status before the id
        statuses = [(code,) for code in range(len(STATUSES))]
    if query.owner is not None and not query.statuses:
        statuses = [(code,) for code in range(len(STATUSES))]
    return [(status, task) for status in statuses for task in tasks]


def _conditions(query: JobQuery) -> tuple[list[str], list[Any]]:
    conditions, values = ["id < %s", "id >= %s"], [*_range(query)]
    if query.owner is not None:
        conditions.append("owner = %s")
        values.append(query.owner)
    if query.labels:
        conditions.append("label_keys @> %s::text[]")
        values.append([label_key(name, value) for name, value in query.labels])
    return conditions, values


def _range(query: JobQuery) -> tuple[Any, Any]:
    """The ids that the page may have: below the first, from the second on."""
    below = query.before or _MOST
    if query.created_before is not None:
        below = min(below, _first_id(query.created_before))
    least = UUID(int=0) if query.created_after is None else _first_id(query.created_after)
    return below, least


def _first_id(time: Millis) -> UUID:
    return _MOST if time > _LATEST else UUID(int=first_at(max(time, 0)).int & ~(0xFFFF << 64))
