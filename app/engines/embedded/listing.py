"""Pages of jobs by filter. Each stream of ids comes out of one index in order, newest first.

Several values of one filter are several streams, merged: `IN (…) ORDER BY` would sort all that
match. So a page costs the same at the millionth job as at the first, for each filter alone and for
status with task; a status that is looked for in every task takes some twenty microseconds for each
of them. What no index covers is looked at row by row, within a budget.
"""

import contextlib
import heapq
from collections.abc import Generator, Iterable
from itertools import product
from typing import Any, Final

import apsw

from app.jobs.ids import halves
from app.jobs.models import JobQuery, Millis
from app.jobs.stored import CODES, STATUSES
from app.scheduler import Status

SCAN_BUDGET: Final = 1_000
"""Rows that are looked at for one page, before it ends short with a cursor to go on from."""

_COMPLETED: Final = CODES[Status.COMPLETED]
_NEWEST: Final = (1 << 63) - 1
_RANGE: Final = "high < ? AND high >= ? ORDER BY high DESC"

PLAIN: Final = f"SELECT high FROM jobs WHERE {_RANGE}"
UNSUCCESSFUL: Final = f"SELECT high FROM jobs WHERE status = ? AND status > 2 AND {_RANGE}"
BY_TASK: Final = f"SELECT high FROM jobs WHERE task = ? AND status = ? AND {_RANGE}"
OWN_BY_STATUS: Final = f"SELECT high FROM jobs WHERE owner = ? AND status = ? AND {_RANGE}"
OWN_BY_TASK: Final = (
    f"SELECT high FROM jobs WHERE owner = ? AND task = ? AND status = ? AND {_RANGE}"
)
_TASKS: Final = """
WITH RECURSIVE found(task) AS (
    SELECT min(task) FROM jobs
    UNION ALL
    SELECT (SELECT min(task) FROM jobs WHERE jobs.task > found.task)
    FROM found WHERE found.task IS NOT NULL
)
SELECT task FROM found WHERE task IS NOT NULL
"""
"""A few steps down an index for each task, where `DISTINCT` would look at every job."""

BY_LABEL: Final = f"SELECT high FROM labels WHERE name = ? AND value = ? AND {_RANGE}"


def keys_of(db: apsw.Connection, query: JobQuery) -> tuple[list[int], int | None]:
    """The keys of a page, and the last key looked at when there may be more, else None."""
    found: list[int] = []
    last = None
    with contextlib.closing(_merged(db, query)) as candidates:
        for looked_at, key in enumerate(candidates):
            if len(found) == query.limit or looked_at == SCAN_BUDGET:
                return found, last
            last = key
            if _matches(db, key, query):
                found.append(key)
    return found, None


def _merged(db: apsw.Connection, query: JobQuery) -> Generator[int, None, None]:
    cursors = [db.execute(sql, (*values, *_range(query))) for sql, values in _sources(db, query)]
    try:
        for (key,) in heapq.merge(*cursors, reverse=True):
            yield key
    finally:
        for cursor in cursors:  # an open one would hold back the checkpoint of the journal
            cursor.close()


def tasks_of(db: apsw.Connection) -> list[str]:
    """The tasks that there are jobs of."""
    return [task for (task,) in db.execute(_TASKS)]


def _sources(db: apsw.Connection, query: JobQuery) -> Iterable[tuple[str, tuple[str | int, ...]]]:
    codes = [CODES[status] for status in query.statuses]
    if query.owner is not None:  # before the labels, which would lead through others' jobs
        return _own_sources(query.owner, query.tasks, codes or range(len(STATUSES)))
    if query.labels:
        return [(BY_LABEL, query.labels[0])]
    if query.tasks:
        return [(BY_TASK, pair) for pair in product(query.tasks, codes or range(len(STATUSES)))]
    if codes:
        return _sources_by_status(db, codes)
    return [(PLAIN, ())]


def _sources_by_status(
    db: apsw.Connection, codes: Iterable[int]
) -> Iterable[tuple[str, tuple[str | int, ...]]]:
    """Failed and cancelled jobs have an index of their own; all others are looked for by task."""
    own = [(UNSUCCESSFUL, (code,)) for code in codes if code > _COMPLETED]
    others = [code for code in codes if code <= _COMPLETED]
    tasks = tasks_of(db) if others else ()
    return [*own, *((BY_TASK, pair) for pair in product(tasks, others))]


def _own_sources(
    owner: str, tasks: Iterable[str], codes: Iterable[int]
) -> Iterable[tuple[str, tuple[str | int, ...]]]:
    if tasks:
        return [(OWN_BY_TASK, (owner, *pair)) for pair in product(tasks, codes)]
    return [(OWN_BY_STATUS, (owner, code)) for code in codes]


def _range(query: JobQuery) -> tuple[int, int]:
    """The keys that the page may have: below the first, from the second on."""
    below, least = _NEWEST, 0
    if query.before is not None:
        below = halves(query.before)[0]
    if query.created_before is not None:
        below = min(below, _first_key_at(query.created_before))
    if query.created_after is not None:
        least = _first_key_at(query.created_after)
    return below, least


def _first_key_at(time: Millis) -> int:
    """The smallest key of a time; keys know the years from 1970 to 6429."""
    return min(max(time, 0) << 16, _NEWEST)


def _matches(db: apsw.Connection, key: int, query: JobQuery) -> bool:
    """The filters beside the one whose index the key came from: only labels leave any."""
    if not query.labels:
        return True
    rows: Any = db.execute("SELECT status, task FROM jobs WHERE high = ?", (key,)).fetchall()
    for code, task in rows:
        return (
            (not query.statuses or STATUSES[code] in query.statuses)
            and (not query.tasks or task in query.tasks)
            and all(_has_label(db, key, name, value) for name, value in query.labels)
        )
    return False  # it has just been removed


def _has_label(db: apsw.Connection, key: int, name: str, value: str) -> bool:
    row = db.execute(
        "SELECT 1 FROM labels WHERE name = ? AND value = ? AND high = ?", (name, value, key)
    ).fetchone()
    return row is not None
