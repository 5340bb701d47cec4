"""Each change depends on what the row says when it is made: nothing is overwritten."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import apsw
import pytest
from msgspec.structs import replace

from app.engines.embedded.batch import Change, Write, make
from app.engines.embedded.changes import (
    Cancelled,
    Fail,
    Insert,
    RequestCancel,
    Start,
)
from app.engines.embedded.delivery_rows import Redeliver
from app.engines.embedded.ends import Ended, Finish
from app.engines.embedded.expiry import RemoveExpired
from app.engines.embedded.migrations import migrate
from app.engines.embedded.rows import row_of
from app.jobs.ids import JobIds
from app.jobs.models import ErrorType, Job, JobError
from app.jobs.runner import Outcome
from app.jobs.stored import CODES
from app.scheduler import Status, Step

NOW = 1_800_000_000_000

COMPLETE = Outcome(step=Step.COMPLETE, returned=b"1")
FAILED = Outcome(step=Step.FAIL, error=JobError(ErrorType.EXCEPTION, "broken", "OSError"))
RETRY = Outcome(step=Step.RETRY, error=JobError(ErrorType.TIMEOUT, "late"), retry_at=NOW + 9)

JOB_ID = JobIds(lambda: NOW).next()


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    """A journal with one pending job, of version 1 and key "k"."""
    db = apsw.Connection(":memory:")
    migrate(db)
    insert(JOB_ID, "k").run(db)
    yield db
    db.close()


def insert(job_id: UUID, key: str | None, owner: str | None = None) -> Insert:
    """A new job."""
    job = Job(
        id=job_id,
        task="a",
        status=Status.PENDING,
        version=1,
        params=b"{}",
        max_attempts=9,
        run_at=NOW,
        owner=owner,
    )
    return Insert(job_id, row_of(job, key, None), {})


def row(db: apsw.Connection) -> Any:
    """The job's row."""
    return db.execute("SELECT * FROM jobs").fetchone()


def status(db: apsw.Connection) -> Status:
    """The job's status."""
    code = db.execute("SELECT status FROM jobs").get
    return {code: status for status, code in CODES.items()}[code]


def start(number: int, version: int) -> Start:
    """The start of an attempt."""
    return Start(JOB_ID, version, number, NOW)


def finish(number: int, version: int, outcome: Outcome = COMPLETE) -> Finish:
    """The end of an attempt."""
    return Finish(Ended(JOB_ID, number, NOW, outcome, has_secrets=True, has_webhook=False), version)


def fail(version: int) -> Fail:
    """The failure of a job that never started."""
    return Fail(JOB_ID, version, NOW, JobError(ErrorType.UNKNOWN_TASK, "gone"))


def cancel(version: int, if_version: int | None = None) -> RequestCancel:
    """A cancel at a time of its own."""
    return RequestCancel(JOB_ID, version, NOW + version, if_version)


def unchanged(db: apsw.Connection, change: Any) -> None:
    """A change that comes too late has no effect, and says so at once and after a crash."""
    before = row(db)
    assert change.run(db) is None
    assert row(db) == before
    assert change.happened(db) is None


def test_key(db: apsw.Connection) -> None:
    """Whatever else goes wrong, the journal has one job for each key of an owner."""
    ids = JobIds(lambda: NOW + 1)
    for key, owner in ((None, None), (None, None), ("k", "ann"), ("other", None)):
        insert(ids.next(), key, owner).run(db)
    for owner in (None, "ann"):
        with pytest.raises(apsw.ConstraintError):
            insert(ids.next(), "k", owner).run(db)


def test_new_jobs_at_once(db: apsw.Connection) -> None:
    """What follows each other in a batch has its labels, its secrets and its own answer."""
    ids = JobIds(lambda: NOW + 1)
    plain, rich, starts = (insert(ids.next(), None) for _ in range(3))
    rich = replace(rich, labels={"order": "42", "shop": "1"}, secrets=b"[]")
    begun = CODES[Status.RUNNING]
    starts = replace(starts, row=(*starts.row[:3], begun, *starts.row[4:]), labels={"order": "42"})
    changes: list[Change[Any]] = [plain, rich, starts, cancel(2)]
    answers = make(db, [Write(change, lambda _: None) for change in changes])
    pending, running = Status.PENDING, Status.RUNNING
    assert [value for _, value in answers[:3]] == [pending, pending, running]
    assert answers[3][1] == Cancelled(Status.CANCELLED)
    assert db.execute("SELECT * FROM labels").fetchall() == [
        ("order", "42", rich.row[0]),
        ("order", "42", starts.row[0]),
        ("shop", "1", rich.row[0]),
    ]
    assert db.execute("SELECT * FROM secrets").fetchall() == [(rich.row[0], b"[]")]


@pytest.mark.parametrize("place", range(3))
def test_one_that_cannot_be_made(db: apsw.Connection, place: int) -> None:
    """The others are there all the same; it is refused, in its place."""
    ids = JobIds(lambda: NOW + 1)
    jobs = [insert(ids.next(), None) for _ in range(3)]
    jobs[place] = insert(ids.next(), "k")
    writes = [Write(job, lambda _: None, lambda _: None) for job in jobs]
    db.execute("BEGIN")
    answers = make(db, writes)
    assert [call is writes[i].refused for i, (call, _) in enumerate(answers)] == [
        i == place for i in range(3)
    ]
    assert db.execute("SELECT count(*) FROM jobs").get == 3


def test_start(db: apsw.Connection) -> None:
    """An attempt starts once, and only as the next one."""
    unchanged(db, start(2, 2))
    started = start(1, 2).run(db)
    assert started is not None
    assert (started.status, started.attempt, started.version) == (Status.RUNNING, 1, 2)
    assert start(1, 2).happened(db) == started
    unchanged(db, start(1, 3))
    unchanged(db, start(2, 3))


def test_finish(db: apsw.Connection) -> None:
    """An attempt ends once, and none but the one that runs."""
    unchanged(db, finish(1, 2))
    start(1, 2).run(db)
    unchanged(db, finish(2, 3))
    assert finish(1, 3).run(db) is Status.COMPLETED
    assert finish(1, 3).happened(db) is Status.COMPLETED
    unchanged(db, finish(1, 4, RETRY))


@pytest.mark.parametrize(
    "odd", [(), ("cancelled",), ("pending", "cancelled"), ("secrets",), ("twice",)]
)
def test_ends_at_once(db: apsw.Connection, odd: tuple[str, ...]) -> None:
    """What ends in one batch ends as each alone would: whatever some of them are."""
    ids = JobIds(lambda: NOW + 1)
    changes = []
    for number, kind in enumerate(("plain", *odd, "failing", "plain")):
        job_id, version = ids.next(), 10 * number + 10
        insert(job_id, None).run(db)
        if kind != "pending":
            Start(job_id, version, 1, NOW).run(db)
        if kind == "cancelled":
            RequestCancel(job_id, version + 1, NOW, None).run(db)
        if kind == "twice":  # the first end is of an attempt that does not run any more
            late = Ended(job_id, 0, NOW, FAILED, has_secrets=False, has_webhook=False)
            changes.append(Finish(late, version + 1))
        outcome = FAILED if kind == "failing" else COMPLETE
        ended = Ended(job_id, 1, NOW + number, outcome, kind == "secrets", has_webhook=False)
        changes.append(Finish(ended, version + 2))
    db.execute("SAVEPOINT apart")
    apart = [change.run(db) for change in changes]
    rows = db.execute("SELECT * FROM jobs").fetchall()
    db.execute("ROLLBACK TO apart")
    assert Finish.run_many(db, changes) == apart
    assert db.execute("SELECT * FROM jobs").fetchall() == rows
    assert apart[-2:] == [Status.FAILED, Status.COMPLETED]


def test_successor(db: apsw.Connection) -> None:
    """What an attempt says after its successor has begun is not heard."""
    start(1, 2).run(db)
    assert finish(1, 3, RETRY).run(db) is Status.PENDING
    unchanged(db, finish(1, 4))
    start(2, 5).run(db)
    unchanged(db, finish(1, 6))
    assert status(db) is Status.RUNNING


def test_fail(db: apsw.Connection) -> None:
    """Only a pending job fails without a start."""
    start(1, 2).run(db)
    unchanged(db, fail(3))
    finish(1, 4, RETRY).run(db)
    assert fail(5).happened(db) is None
    assert fail(5).run(db) is Status.FAILED
    assert fail(5).happened(db) is Status.FAILED
    unchanged(db, fail(6))
    unchanged(db, start(2, 6))


def test_cancel_comes_first(db: apsw.Connection) -> None:
    """With a cancel on record every outcome of the attempt is the end, a retry too."""
    start(1, 2).run(db)
    assert cancel(3).run(db) == Cancelled(Status.RUNNING)
    assert finish(1, 4, RETRY).run(db) is Status.CANCELLED
    assert db.execute("SELECT result, error FROM jobs").fetchone() == (None, None)
    unchanged(db, start(2, 5))


def test_cancel_of_a_pending_job(db: apsw.Connection) -> None:
    """A pending job ends with its cancel."""
    assert cancel(2).run(db) == Cancelled(Status.CANCELLED)
    assert cancel(2).happened(db) == Cancelled(Status.CANCELLED)
    unchanged(db, start(1, 3))
    unchanged(db, fail(3))


def test_cancel_of_unknown_fate(db: apsw.Connection) -> None:
    """Of a running job it is told that it runs, although the same commit has ended it."""
    start(1, 2).run(db)
    asked = cancel(3)
    assert asked.run(db) == asked.happened(db) == Cancelled(Status.RUNNING)
    finish(1, 4).run(db)
    assert status(db) is Status.CANCELLED
    assert asked.happened(db) == Cancelled(Status.RUNNING)


def test_second_cancel(db: apsw.Connection) -> None:
    """A second cancel, and one of a finished job, finds what there is and changes nothing."""
    start(1, 2).run(db)
    cancel(3).run(db)
    before = row(db)
    assert cancel(4).run(db) == Cancelled(Status.RUNNING)
    assert row(db) == before
    finish(1, 5).run(db)
    before = row(db)
    assert cancel(6).run(db) == Cancelled(Status.CANCELLED)
    assert row(db) == before


def test_cancel_of_another_version(db: apsw.Connection) -> None:
    """A cancel of another version changes nothing, even if the job changed in the same commit."""
    start(1, 2).run(db)
    missed = cancel(3, if_version=1)
    assert missed.run(db) == Cancelled(Status.RUNNING, matched=False)
    finish(1, 4).run(db)
    assert missed.happened(db) is None
    assert status(db) is Status.COMPLETED


def test_cancel_of_no_job(db: apsw.Connection) -> None:
    """A job that is not there cannot be cancelled, nor one that shares half of its id."""
    other = RequestCancel(UUID(int=JOB_ID.int ^ 1), 2, NOW, None)
    assert other.run(db) is None
    assert other.happened(db) is None
    assert status(db) is Status.PENDING


def test_removal_of_unknown_fate(db: apsw.Connection) -> None:
    """Whether a removal was made can be read back; to repeat it does no harm."""
    start(1, 2).run(db)
    finish(1, 3).run(db)
    removal = RemoveExpired(NOW + 1, NOW + 1, 10)
    db.execute("SAVEPOINT one")
    gone = removal.run(db)
    assert sum(gone.values()) == 1
    assert removal.happened(db) == gone
    db.execute("ROLLBACK TO one")
    assert removal.happened(db) is None
    assert removal.run(db) == gone
    assert removal.run(db) == {}
    assert removal.happened(db) is None


def test_redelivery(db: apsw.Connection) -> None:
    """Where nothing was told there is nothing to tell again; what was written can be read back."""
    again = Redeliver(JOB_ID, NOW + 5)
    assert again.run(db) is False
    assert again.happened(db) is None
    db.execute(
        "INSERT INTO deliveries (high, receiver, since, attempts, delivered_at) "
        "SELECT high, 'a.example', 1, 1, 2 FROM jobs"
    )
    assert again.happened(db) is None
    assert again.run(db) is True
    assert again.happened(db) is True
    assert db.execute(
        "SELECT since, attempts, next_at, delivered_at FROM deliveries"
    ).fetchall() == [(NOW + 5, 1, NOW + 5, None)]
