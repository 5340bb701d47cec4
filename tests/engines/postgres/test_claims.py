"""What a claim starts, in which order, and what it has to look at for that."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID, uuid4

import psycopg
import pytest

from app.engines.postgres.connections import conninfo

SUBMIT: Final = f"SELECT its_version FROM submit({', '.join(['%s'] * 16)})"
CLAIM: Final = "SELECT id FROM claim(%s, %s, 0, %s, %s, %s, %s)"
READ: Final = (
    "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables "
    "WHERE relname = 'procrastinate_jobs'"
)

Db: TypeAlias = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def db(url: str) -> Iterator[Db]:
    """A connection that commits by itself."""
    with psycopg.connect(conninfo(url), autocommit=True) as db:
        yield db


def submit(
    db: Db, task: str = "echo", *, priority: int = 0, owner: str | None = None, run_at: int = 0
) -> UUID:
    """A new job, at the time 0."""
    job_id = uuid4()
    values = (job_id, 0, task, owner, priority, None, 1, run_at, *[None] * 4, b"{}", *[None] * 3)
    db.execute(SUBMIT, values)
    return job_id


def claim(
    db: Db, slots: int, *, limits: Sequence[tuple[str, int]] = (), of_owner: int | None = None
) -> list[UUID]:
    """What a new worker is given; it knows `echo` and the tasks with limits."""
    [[worker]] = db.execute("SELECT procrastinate_register_worker_v1()").fetchall()
    tasks, numbers = [task for task, _ in limits], [number for _, number in limits]
    rows = db.execute(CLAIM, (worker, slots, ["echo"], tasks, numbers, of_owner)).fetchall()
    return [job_id for (job_id,) in rows]


def test_order_across_tasks(db: Db) -> None:
    """The highest priority goes first, then who came first, whatever the task."""
    jobs = [submit(db, task, priority=n) for n, task in ((0, "echo"), (1, "pair"), (1, "echo"))]
    jobs.append(submit(db, "pair", priority=1))
    limits = [("pair", 9)]
    assert claim(db, 3, limits=limits) == [jobs[1], jobs[2], jobs[3]]
    assert claim(db, 3, limits=limits) == [jobs[0]]


def test_what_others_hold(db: Db, url: str) -> None:
    """However many are in other hands, a claim gives the next ones, and waits for nobody."""
    jobs = [submit(db) for _ in range(12)]
    with psycopg.connect(conninfo(url)) as other:
        other.execute(
            "SELECT 1 FROM procrastinate_jobs WHERE id < "
            "(SELECT dispatch FROM jobs WHERE id = %s) FOR UPDATE",
            (jobs[10],),
        )
        assert claim(db, 1) == [jobs[10]]
    assert claim(db, 1) == [jobs[0]]


def test_behind_a_full_task(db: Db) -> None:
    """Jobs of a task that has no room hold up no others, not in one claim, not later."""
    pairs = [submit(db, "pair", priority=1) for _ in range(9)]
    others = [submit(db) for _ in range(3)]
    limits = [("pair", 2)]
    assert claim(db, 4, limits=limits) == [*pairs[:2], *others[:2]]
    assert claim(db, 4, limits=limits) == others[2:]


def test_behind_a_full_owner(db: Db) -> None:
    """Nor do those of an owner who has as many as may run: they leave the line."""
    jobs = [submit(db, owner="a") for _ in range(9)]
    other = submit(db, owner="b")
    assert claim(db, 2, of_owner=1) == [jobs[0], other]
    line = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at IS NULL"
    assert db.execute(line.encode()).fetchall() == [(0,)]


def test_what_waits_is_not_read(db: Db) -> None:
    """Neither delayed jobs nor a backlog are looked at for a claim."""
    for run_at in (10**9, 0):
        for _ in range(300):
            submit(db, run_at=run_at)
    db.execute("ANALYZE procrastinate_jobs")
    with db.transaction():
        [[before]] = db.execute(READ).fetchall()
        assert len(claim(db, 5)) == 5
        [[after]] = db.execute(READ).fetchall()
    assert 0 < after - before < 50


def test_due(db: Db) -> None:
    """What comes due is in line by its priority, and what is not due stays where it is."""
    later = submit(db, priority=2, run_at=10**9)
    ready = submit(db)
    db.execute(
        "UPDATE procrastinate_jobs SET scheduled_at = now() - interval '1 second' "
        "WHERE id = (SELECT dispatch FROM jobs WHERE id = %s)",
        (later,),
    )
    submit(db, priority=3, run_at=10**9)
    assert claim(db, 9) == [later, ready]
