# ruff: noqa: E501  the table of bad histories has one on each line
"""The model itself: silent about a good history, and every rule fires at a bad one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias
from uuid import UUID

import pytest
from msgspec import structs

from app.engines.embedded.changes import Cancelled
from app.jobs.models import Attempt, ErrorType, Job, JobError
from app.jobs.texts import to_json
from app.scheduler import Status
from tests.simulation.book import Book
from tests.simulation.history import (
    Answered,
    Began,
    Called,
    Calm,
    Committed,
    Defect,
    Ended,
    Event,
    Fault,
    Finished,
    History,
    Interrupted,
    Opening,
    Reopened,
    Rested,
    Row,
    Streamed,
    Told,
    What,
)
from tests.simulation.model import RULES, violations

EPOCH: Final = 1_800_000_000_000
Timed: TypeAlias = tuple[float, int, What]


def id_of(number: int, seconds: int = 0) -> UUID:
    """The id of a job that is submitted at a time."""
    return UUID(int=EPOCH + 1_000 * seconds << 80 | 0x7000 << 64 | 1 << 63 | number)


ONE, TWO = id_of(1), id_of(2, 2)
VALUE: Final = [str(ONE), 1]
NEW: Final = Job(
    id=ONE,
    task="once",
    status=Status.RUNNING,
    version=1,
    params=b"{}",
    run_at=EPOCH,
    attempt=1,
    attempts=(Attempt(1, EPOCH),),
    started_at=EPOCH,
)
DONE: Final = structs.replace(
    NEW,
    status=Status.COMPLETED,
    version=2,
    result=to_json(VALUE),
    finished_at=EPOCH + 2_000,
    attempts=(Attempt(1, EPOCH, EPOCH + 2_000, Status.COMPLETED),),
)
SECOND: Final = structs.replace(NEW, id=TWO, version=3, run_at=EPOCH + 2_000)
ASKED: Final = structs.replace(SECOND, version=4, cancel_requested_at=EPOCH + 3_000)
CANCELLED: Final = structs.replace(
    ASKED,
    status=Status.CANCELLED,
    version=5,
    finished_at=EPOCH + 3_000,
    attempts=(Attempt(1, EPOCH, EPOCH + 3_000, Status.CANCELLED),),
)


def row_of(job: Job) -> Row:
    """What the journal has of a job."""
    cancelled = job.cancel_requested_at is not None
    return Row(job.version, job.status, job.attempt, cancelled, job.finished_at)


GOOD: Final[Sequence[Timed]] = (
    (0, 1, Opening({})),
    (0, 1, Called(1, "submit", key="key")),
    (0, 1, Committed("insert", ONE, Status.RUNNING)),
    (0, 1, Told("insert", ONE, 1, False, False)),
    (0, 1, Began(ONE, 1)),
    (0, 1, Answered(1, (NEW,))),
    (1, 1, Called(2, "wait", ONE)),
    (2, 1, Finished(ONE, 1, "returned", VALUE)),
    (2, 1, Committed("finish", ONE, Status.COMPLETED, EPOCH + 2_000)),
    (2, 1, Told("finish", ONE, 2, True, True)),
    (2, 1, Answered(2, (DONE,))),
    (2, 1, Streamed(0, "done", 2, DONE)),
    (2, 1, Called(3, "submit")),
    (2, 1, Committed("insert", TWO, Status.RUNNING)),
    (2, 1, Told("insert", TWO, 3, False, False)),
    (2, 1, Began(TWO, 1)),
    (2, 1, Answered(3, (SECOND,))),
    (2, 1, Called(4, "cancel", TWO)),
    (3, 1, Committed("requestcancel", TWO, Cancelled(Status.RUNNING), EPOCH + 3_000)),
    (3, 1, Told("requestcancel", TWO, 4, False, False)),
    (3, 1, Answered(4, (ASKED,))),
    (3, 1, Interrupted(TWO, 1)),
    (3, 1, Finished(TWO, 1, "raised", "CancelledError")),
    (3, 1, Committed("finish", TWO, Status.CANCELLED, EPOCH + 3_000)),
    (3, 1, Told("finish", TWO, 5, True, True)),
    (3, 1, Streamed(0, "done", 5, CANCELLED)),
    (9, 1, Fault("close")),
    (9, 1, Ended("close")),
    (10, 2, Opening({ONE: row_of(DONE), TWO: row_of(CANCELLED)})),
    (
        11,
        2,
        Calm(
            {ONE: DONE, TWO: CANCELLED},
            {**dict.fromkeys(Status, 0), Status.COMPLETED: 1, Status.CANCELLED: 1},
            0,
            {ONE: (2, Status.COMPLETED), TWO: (5, Status.CANCELLED)},
        ),
    ),
    (12, 3, Reopened({ONE: DONE, TWO: CANCELLED})),
)

Change: TypeAlias = Callable[[list[Timed]], None]


def at(kind: type[Any], change: Callable[[Any], What], which: int = 0) -> Change:
    """Change the event of a kind that comes as the `which`-th of it."""

    def change_it(events: list[Timed]) -> None:
        places = [n for n, (_, _, what) in enumerate(events) if isinstance(what, kind)]
        time, life, what = events[places[which]]
        events[places[which]] = (time, life, change(what))

    return change_it


def add(before: type[Any], *what: What, time: float, life: int = 1, which: int = 0) -> Change:
    """Let something more happen before the event of a kind."""

    def add_it(events: list[Timed]) -> None:
        places = [n for n, (_, _, there) in enumerate(events) if isinstance(there, before)]
        events[places[which] : places[which]] = [(time, life, one) for one in what]

    return add_it


def drop(kind: type[Any], which: int = 0) -> Change:
    """Leave an event out."""

    def drop_it(events: list[Timed]) -> None:
        places = [n for n, (_, _, what) in enumerate(events) if isinstance(what, kind)]
        del events[places[which]]

    return drop_it


def later(kind: type[Any], seconds: float, which: int = 0) -> Change:
    """Let an event come later, and in its new place."""

    def move_it(events: list[Timed]) -> None:
        places = [n for n, (_, _, what) in enumerate(events) if isinstance(what, kind)]
        time, life, what = events.pop(places[which])
        events.append((time + seconds, life, what))
        events.sort(key=lambda event: (event[1], event[0]))

    return move_it


def final(**fields: Any) -> Change:
    """The first job is found otherwise in the end."""
    job = structs.replace(DONE, **fields)
    return at(Calm, lambda calm: replace(calm, jobs={**calm.jobs, ONE: job}))


def failed(kind: ErrorType, exception: str | None = None, **fields: Any) -> Change:
    """The first job is found to have failed."""
    error = JobError(kind, "a message", exception)
    attempts = (Attempt(1, EPOCH, EPOCH + 2_000, Status.FAILED, error),)
    return final(status=Status.FAILED, result=None, error=error, attempts=attempts, **fields)


def opened(job_id: UUID, row: Row | None) -> Change:
    """The second process finds another row."""

    def change(opening: Opening) -> Opening:
        rows = {**opening.rows, **({job_id: row} if row else {})}
        return Opening(rows if row else {k: v for k, v in rows.items() if k != job_id})

    return at(Opening, change, 1)


def play(*changes: Change, retention: int = 86_400_000) -> list[str]:
    """The names of the rules that a changed history breaks."""
    events = list(GOOD)
    for change in changes:
        change(events)
    history = History(max_running=2, retention=retention)
    for time, life, what in events:
        history.events.append(Event(time, EPOCH + round(time * 1000), life, what))
    return sorted({broken.partition(":")[0] for broken in violations(Book(history))})


def test_good_history() -> None:
    """Where all is kept, no rule fires."""
    assert play() == []


BAD: Final[Sequence[tuple[str, str, Sequence[Change]]]] = (
    ("found_again", "a job is lost", [opened(ONE, None)]),
    ("found_again", "an end is taken back", [opened(ONE, row_of(NEW))]),
    ("found_again", "a cancel is lost", [opened(TWO, replace(row_of(CANCELLED), cancelled=False))]),
    ("found_again", "an attempt is lost", [opened(TWO, replace(row_of(CANCELLED), attempt=0))]),
    ("as_submitted", "other params", [final(params=b'{"a":1}')]),
    ("as_submitted", "it never ends", [final(status=Status.RUNNING)]),
    ("as_submitted", "it is gone", [at(Calm, lambda c: replace(c, jobs={TWO: CANCELLED}))]),
    ("as_submitted", "no rest", [drop(Calm)]),
    ("starts_once", "it runs twice", [add(Calm, Began(ONE, 1), time=11, life=2)]),
    ("starts_once", "one attempt too many", [add(Calm, Began(ONE, 2), time=11, life=2)]),
    ("starts_once", "before it is durable", [drop(Committed)]),
    ("counts_attempts", "a start is not counted", [final(attempt=0, attempts=())]),
    ("counts_attempts", "a start without evidence", [drop(Began)]),
    ("ends_as_it_ended", "another value", [final(result=b"[]")]),
    ("ends_as_it_ended", "no value was returned", [drop(Finished)]),
    ("ends_as_it_ended", "it raised nothing", [failed(ErrorType.EXCEPTION, "KeyError")]),
    ("ends_as_it_ended", "nothing cut it off", [failed(ErrorType.INTERRUPTED)]),
    ("ends_as_it_ended", "it took no time", [failed(ErrorType.TIMEOUT)]),
    ("ends_as_it_ended", "its value was good", [failed(ErrorType.BAD_RESULT)]),
    ("ends_as_it_ended", "attempts were left", [failed(ErrorType.INTERRUPTED, max_attempts=2)]),
    ("ends_as_it_ended", "it started too late", [final(start_by=EPOCH - 1)]),
    ("ends_as_it_ended", "it could have started", [final(attempt=0, attempts=(), start_by=EPOCH + 9_000, error=JobError(ErrorType.NOT_STARTED_IN_TIME, ""))]),
    ("ends_as_it_ended", "nobody cancelled", [drop(Called, 3), drop(Answered, 3)]),
    ("outcomes_are_kept", "an outcome is not written", [opened(ONE, row_of(NEW))]),
    ("final_is_final", "it goes back", [add(Fault, Called(9, "get", ONE), Answered(9, (NEW,)), time=4)]),
    ("final_is_final", "something follows", [final(version=6)]),
    ("final_is_final", "one number, two states", [final(status=Status.CANCELLED)]),
    ("final_is_final", "one number, two jobs", [at(Answered, lambda a: replace(a, jobs=(structs.replace(SECOND, version=2),)), 2)]),
    ("ids_grow", "it steps back", [at(Committed, lambda c: replace(c, job_id=id_of(3, -9)), 2)]),
    ("cancels_hold", "nothing is on record", [at(Answered, lambda a: replace(a, jobs=(SECOND,)), 3)]),
    ("cancels_hold", "it completes", [at(Calm, lambda c: replace(c, jobs={ONE: DONE, TWO: structs.replace(CANCELLED, status=Status.COMPLETED)}))]),
    ("cancels_hold", "it starts again", [add(Calm, Began(TWO, 2), time=11, life=2)]),
    ("cancels_hold", "they do not agree", [add(Fault, Called(9, "cancel", TWO), Answered(9, (structs.replace(CANCELLED, cancel_requested_at=7),)), time=4)]),
    ("cancelled_error_comes_once", "it comes twice", [add(Finished, Interrupted(TWO, 1), time=3, which=1)]),
    ("cancelled_error_comes_once", "it never comes", [drop(Interrupted), later(Finished, 1, 1)]),
    ("one_job_for_a_key", "two jobs", [add(Fault, Called(9, "submit", key="key"), Answered(9, (SECOND,)), time=4)]),
    ("first_come_first_served", "the second begins first", [later(Began, 5)]),
    ("nothing_before_its_time", "too early", [add(Began, Called(9, "get", ONE), Answered(9, (structs.replace(NEW, version=0, status=Status.PENDING, attempt=0, run_at=EPOCH + 9),)), time=0)]),
    ("slots_are_kept", "no slot", [add(Finished, *(Began(id_of(n), 1) for n in (7, 8)), time=1)]),
    ("nothing_unforeseen", "a defect", [add(Fault, Defect("oh"), time=4)]),
    ("store_answers", "a read fails", [add(Fault, Called(9, "get", ONE), Answered(9, error="StoreUnavailable"), time=4)]),
    ("store_answers", "it goes on failing", [
        add(Fault, Fault("disk full"), Fault("disk full", True), time=4),
        add(Fault, Called(9, "submit"), Answered(9, error="StoreUnavailable"), time=7, which=2),
    ]),
    ("only_what_is_full_refuses", "the queue is empty", [add(Fault, Called(9, "submit"), Answered(9, error="QueueFull"), time=4)]),
    ("nothing_is_unknown", "it is not found", [add(Fault, Called(9, "get", ONE), Answered(9, error="JobNotFound"), time=4)]),
    ("waits_are_prompt", "an end is told late", [later(Answered, 1, 1)]),
    ("streams_go_on", "a change is told twice", [add(Fault, Streamed(0, "done", 5, CANCELLED), time=4)]),
    ("streams_go_on", "a change is not told", [at(Calm, lambda c: replace(c, followed={ONE: (2, Status.COMPLETED)}))]),
    ("streams_go_on", "what is gone never ended", [at(Calm, lambda c: replace(c, followed={**c.followed, id_of(9): (3, Status.RUNNING)}))]),
    ("figures_agree", "a job is not counted", [at(Calm, lambda c: replace(c, counts=dict.fromkeys(Status, 0)))]),
    ("figures_agree", "a slot leaks", [at(Calm, lambda c: replace(c, taken=1))]),
    ("figures_agree", "a job is forgotten", [add(Fault, Rested({Status.PENDING: 1}, {**dict.fromkeys(Status, 0), Status.PENDING: 1}, 0), time=4)]),
    ("stays_as_it_is", "a job changes", [at(Reopened, lambda r: Reopened({ONE: structs.replace(DONE, result=b"1"), TWO: CANCELLED}))]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "what", "changes"), BAD, ids=lambda v: v if isinstance(v, str) else ""
)
def test_bad_history(rule: str, what: str, changes: Sequence[Change]) -> None:
    """What breaks a promise is seen by its rule."""
    assert rule in play(*changes), what


def test_every_rule_is_tested() -> None:
    """There is a bad history for each rule."""
    assert {rule for rule, _, _ in BAD} == {rule.__name__ for rule in RULES}


def test_excuses() -> None:
    """What has expired may be gone; what a failing store refuses is no offence; nor a late end."""
    gone = (opened(ONE, None), at(Calm, lambda c: replace(c, jobs={TWO: CANCELLED}, counts={**c.counts, Status.COMPLETED: 0})), at(Reopened, lambda r: Reopened({TWO: CANCELLED})))  # fmt: skip
    assert play(*gone, retention=6_000) == []
    refused = (Fault("stall"), Called(9, "submit"), Answered(9, error="StoreUnavailable"))
    assert play(add(Fault, *refused, time=4)) == []
    kept = opened(TWO, replace(row_of(CANCELLED), status=Status.RUNNING, version=5))
    assert "outcomes_are_kept" not in play(add(Fault, Fault("disk full"), time=5), kept)
