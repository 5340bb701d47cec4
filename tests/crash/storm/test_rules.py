from collections.abc import Mapping
from typing import Any

import pytest

from tests.crash.storm.history import History, Line, Missing, Promise, Sight, Stop
from tests.crash.storm.rules import RULES, violations

ID = "0199"
TIMES = {number: f"2026-01-01T00:00:{number:02}.000Z" for number in range(60)}
NOON = 1_767_225_600  # 2026-01-01T00:00:00Z in seconds

SENT = {"task": "again", "params": {"plan": {}}, "labels": {"a": "b"}, "priority": 1}


def attempt(number: int, outcome: str | None = None, error: str | None = None) -> Any:
    """An attempt that started in a second of its own."""
    return {
        "number": number,
        "started_at": TIMES[10 * number],
        "finished_at": outcome and TIMES[10 * number + 5],
        "outcome": outcome,
        "error": error and {"type": error},
    }


def job(status: str, *attempts: Any, **members: Any) -> Any:
    """A job as an answer shows it."""
    return {
        "id": ID,
        **SENT,
        "status": status,
        "done": status not in ("pending", "running"),
        "attempt": len(attempts),
        "attempts": list(attempts),
        "max_attempts": 4,
        "timeout": None,
        "created_at": TIMES[0],
        "run_at": TIMES[0],
        "cancel_requested_at": None,
        "result": None,
        "error": attempts[-1]["error"] if attempts else None,
        **members,
    }


RUNNING = job("running", attempt(1))
COMPLETED = job("completed", attempt(1, "completed"), result="value")
FAILED = job("failed", attempt(1, "failed", "exception"), max_attempts=1)
CUT_OFF = job("failed", attempt(1, "failed", "interrupted"), max_attempts=1)
STOPPING = job("running", attempt(1), cancel_requested_at=TIMES[12])
CANCELLED = job("cancelled", attempt(1, "cancelled"), cancel_requested_at=TIMES[12])

STARTED = Line(1010, ID, 1, "started")
RETURNED = Line(1015, ID, 1, "returned", "value")
RAISED = Line(1015, ID, 1, "raised", "Planned")
TOLD = Line(1013, ID, 1, "cancelled")
CLEANED_UP = Line(1014, ID, 1, "cleaned up")
LEFT = Line(1015, ID, 1, "raised", "CancelledError")
KILL = Stop("at random", 1012, 1012, NOON + 12, NOON + 12)


def sights(*jobs: Any, how: str = "read", **members: Any) -> list[Sight]:
    """Answers that followed each other; the last one belongs to the last reading."""
    seen: list[Sight] = []
    for at, shown in enumerate(jobs, 1):
        which: Any = "last" if at == len(jobs) else how
        body = repr(shown).encode()
        seen.append(Sight(2000 + 2 * at, 2001 + 2 * at, which, shown, f'"{at}"', body, **members))
    return seen


def but(shown: Mapping[str, Any], **members: Any) -> Any:
    """The job with other members."""
    return {**shown, **members}


def submitted(shown: Any) -> Sight:
    """The answer to a submission."""
    return Sight(1000, 1001, "submit", shown, '"0"', repr(shown).encode(), SENT)


GOOD = {
    "completed": History(sights(RUNNING, COMPLETED), lines=[STARTED, RETURNED]),
    "failed": History(sights(but(RUNNING, max_attempts=1), FAILED), lines=[STARTED, RAISED]),
    "cut off": History(
        sights(but(RUNNING, max_attempts=1), CUT_OFF), stops=[KILL], lines=[STARTED]
    ),
    "cut off before its first step": History(
        sights(but(RUNNING, max_attempts=1), CUT_OFF), stops=[KILL]
    ),
    "cancelled": History(
        sights(STOPPING, CANCELLED, CANCELLED, how="cancel"),
        lines=[STARTED, TOLD, CLEANED_UP, LEFT],
    ),
    "cancelled before its start": History(
        sights(job("pending"), job("cancelled", cancel_requested_at=TIMES[5]))
    ),
    "repeated": History(
        sights(
            RUNNING,
            job("pending", attempt(1, "failed", "exception"), run_at=TIMES[20]),
            job(
                "completed",
                attempt(1, "failed", "exception"),
                attempt(2, "completed"),
                result="value",
            ),
        ),
        lines=[
            STARTED,
            RAISED,
            Line(1020, ID, 2, "started"),
            Line(1025, ID, 2, "returned", "value"),
        ],
    ),
    "submitted": History(
        [submitted(RUNNING), *sights(RUNNING, COMPLETED)], lines=[STARTED, RETURNED]
    ),
    "out of order": History(
        [
            *sights(RUNNING, COMPLETED),
            Sight(1000, 9000, "read", RUNNING, '"1"', repr(RUNNING).encode()),
        ],
        lines=[STARTED, RETURNED],
    ),
}

TWICE = [STARTED, RAISED, Line(1020, ID, 2, "started"), Line(1025, ID, 2, "returned", "value")]

BAD: list[tuple[str, str, History]] = [
    ("found again", "not there", History([submitted(RUNNING)])),
    (
        "found again",
        "answered 404",
        History(sights(RUNNING, COMPLETED), [Missing(ID, 3000, 404)], lines=[STARTED, RETURNED]),
    ),
    ("no strangers", "answered 404", History([], [Missing(ID, 3000, 404)])),
    ("no strangers", "is not there", History(lines=[STARTED])),
    ("found as it was", "labels", History(sights(RUNNING, but(COMPLETED, labels={})))),
    ("found as it was", "params", History(sights(RUNNING, but(COMPLETED, params={})))),
    (
        "found as it was",
        "created_at",
        History(sights(RUNNING, but(COMPLETED, created_at=TIMES[1]))),
    ),
    (
        "found as it was",
        "due time",
        History(sights(job("pending"), but(RUNNING, run_at=TIMES[3]), COMPLETED)),
    ),
    (
        "found as it was",
        "time of a start",
        History(sights(RUNNING, but(COMPLETED, attempts=[{**attempt(1), "started_at": TIMES[9]}]))),
    ),
    ("as submitted", "priority", History([submitted(but(RUNNING, priority=2))])),
    ("as submitted", "due", History([submitted(but(RUNNING, run_at=TIMES[3]))])),
    ("never taken back", "pending", History(sights(RUNNING, job("pending"), COMPLETED))),
    ("never taken back", "running", History(sights(COMPLETED, RUNNING, COMPLETED))),
    ("never taken back", "cancel", History(sights(STOPPING, RUNNING, COMPLETED))),
    (
        "never taken back",
        "version",
        History(
            [submitted(RUNNING), *sights(RUNNING), Sight(3000, 3001, "read", RUNNING, '"0"', b"{}")]
        ),
    ),
    ("final once ended", "versions", History(sights(COMPLETED, but(COMPLETED, result="other")))),
    ("final once ended", "ended as", History(sights(COMPLETED, FAILED))),
    ("ends", "running", History(sights(RUNNING, RUNNING))),
    ("cancel holds", "completed", History(sights(STOPPING, COMPLETED, how="cancel"))),
    (
        "cancel holds",
        "completed",
        History(sights(RUNNING, COMPLETED), promises=[Promise(ID, 1012)]),
    ),
    (
        "cancel holds",
        "started after",
        History(sights(STOPPING, CANCELLED, how="cancel"), lines=[Line(2004, ID, 1, "started")]),
    ),
    (
        "cancels agree",
        "a DELETE showed",
        History(sights(RUNNING, CANCELLED, how="cancel")),
    ),
    (
        "cancels agree",
        "without a cancel",
        History(sights(RUNNING, COMPLETED, how="cancel")),
    ),
    (
        "cancelled for a reason",
        "it is cancelled",
        History(sights(RUNNING, but(CANCELLED, cancel_requested_at=None))),
    ),
    (
        "cancelled for a reason",
        "it is failed",
        History(sights(RUNNING, but(FAILED, cancel_requested_at=TIMES[12]))),
    ),
    ("starts are counted", "started 2 times", History(sights(COMPLETED), lines=[STARTED, STARTED])),
    (
        "starts are counted",
        "may 1 times",
        History(sights(but(COMPLETED, max_attempts=1)), lines=TWICE),
    ),
    ("starts are counted", "not counted", History(sights(COMPLETED), lines=TWICE)),
    ("starts are counted", "not numbered", History(sights(but(COMPLETED, attempt=2)))),
    ("starts are counted", "did not start", History(sights(COMPLETED))),
    ("no made up end", "did not return", History(sights(COMPLETED), lines=[STARTED, RAISED])),
    ("no made up end", "did not raise", History(sights(FAILED), lines=[STARTED])),
    ("no made up end", "by nothing", History(sights(CUT_OFF), lines=[STARTED])),
    (
        "ends as its last attempt",
        "it completed",
        History(sights(but(FAILED, status="completed")), lines=[STARTED, RAISED]),
    ),
    (
        "ends as its last attempt",
        "it failed",
        History(sights(but(FAILED, error=None)), lines=[STARTED, RAISED]),
    ),
    (
        "result is what was returned",
        "its result is other",
        History(sights(but(COMPLETED, result="other")), lines=[STARTED, RETURNED]),
    ),
    (
        "result is what was returned",
        "lost",
        History(sights(but(COMPLETED, result=None)), lines=[STARTED, RETURNED], stops=[KILL]),
    ),
    (
        "result is what was returned",
        "lost",
        History(sights(STOPPING, CANCELLED), lines=[STARTED, TOLD, CLEANED_UP, RETURNED]),
    ),
    ("repeated while it may", "1 of 4", History(sights(but(FAILED, max_attempts=4)))),
    (
        "one cancelled error",
        "got 2",
        History(sights(CANCELLED), lines=[STARTED, TOLD, TOLD, CLEANED_UP, LEFT]),
    ),
    (
        "one cancelled error",
        "did not finish",
        History(sights(CANCELLED), lines=[STARTED, TOLD, LEFT]),
    ),
    ("one cancelled error", "never told", History(sights(CANCELLED), lines=[STARTED])),
    (
        "one job for a key",
        "found",
        History(sights(COMPLETED, key="k") + sights(but(COMPLETED, id="0200"), key="k")),
    ),
]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_passes(name: str) -> None:
    """What may happen breaks no rule."""
    assert violations(GOOD[name]) == []


@pytest.mark.parametrize(("rule", "text", "history"), BAD)
def test_a_bad_history_is_noticed(rule: str, text: str, history: History) -> None:
    """What must not happen breaks the rule that forbids it."""
    assert [found for found in violations(history) if found.startswith(rule) and text in found]


def test_every_rule_has_been_seen_to_fire() -> None:
    """No rule is without a history that breaks it."""
    rules = {rule.__name__.replace("_", " ") for rule in RULES}
    assert rules <= {rule for rule, _, _ in BAD}
