"""What must hold of the history of a cluster, where it differs from that of one server."""

from collections.abc import Iterable, Iterator
from typing import Final

from tests.crash.storm.history import History, Life, Line
from tests.crash.storm.rules import RULES, cancel_holds, violations

PLACES: Final = 2
"""How many jobs of the task `narrow` run at once in the whole cluster."""


def violations_of_cluster(history: History) -> list[str]:
    """What is wrong; each says the rule, the job and what was seen."""
    return violations(history, _RULES) + list(never_too_many(history))


def cancel_holds_everywhere(life: Life) -> Iterator[str]:
    """An accepted cancel ends as cancelled, and no attempt is begun after it.

    One that runs on record may have its first step ahead of it, on another node: it is told of the
    cancel there.
    """
    if life.cancelled_at is None or life.last is None:
        return
    job = life.last.job
    if job["done"] and job["status"] != "cancelled":
        yield f"it was cancelled, and ended as {job['status']}"
    seen = [sight for sight in life.sights if sight.job["cancel_requested_at"]]
    latest = max((sight.job["attempt"] for sight in seen), default=0)
    first = min((sight.job["attempt"] for sight in seen), default=0)
    if latest > first:
        yield f"attempt {latest} was begun after the cancel of attempt {first}"


def never_too_many(history: History) -> Iterator[str]:
    """The limit of a task holds across the cluster; attempts that were cut off are not counted."""
    changes: list[tuple[int, int]] = []
    for life in history.lives():
        if life.sights[0].job["task"] == "narrow":
            for line, end in _whole_runs(life):
                changes += [(line.at, 1), (end.at, -1)]
    running = 0
    for at, change in sorted(changes):
        running += change
        if running > PLACES:
            yield f"never too many: {running} ran at {at}"


def _whole_runs(life: Life) -> Iterable[tuple[Line, Line]]:
    for line in life.told("started"):
        end = life.ended(line.attempt)
        if end is not None and not life.cut_off(line):
            yield line, end


_RULES: Final = [cancel_holds_everywhere if rule is cancel_holds else rule for rule in RULES]
