"""What a claim starts, in which order, and what it has to look at for that."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, Final, TypeAlias
from uuid import UUID

import psycopg
import pytest

from tests.support.postgres import conninfo

IDS: Final = count(1)
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
    job_id = UUID(int=next(IDS))
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


def finish(db: Db, job_id: UUID) -> None:
    """The first attempt of a job has completed."""
    db.execute(
        "SELECT finish(%s, 1, 0, 'complete', 'null'::bytea, NULL, NULL, NULL, NULL)", (job_id,)
    )


def line_of(db: Db) -> list[UUID]:
    """The jobs that are ready to be claimed."""
    text = (
        "SELECT j.id FROM jobs j JOIN procrastinate_jobs p ON p.id = j.dispatch "
        "WHERE p.status = 'todo' AND p.scheduled_at IS NULL ORDER BY j.id"
    )
    return [job_id for (job_id,) in db.execute(text.encode()).fetchall()]


def test_an_owner_on_two_nodes(db: Db, url: str) -> None:
    """Two claims at once start no more jobs of an owner than may run; the second is for later."""
    first, second = submit(db, owner="a"), submit(db, owner="a")
    with psycopg.connect(conninfo(url)) as other:
        assert claim(other, 1, of_owner=1) == [first]
        assert claim(db, 1, of_owner=1) == []
    assert line_of(db) == [second]
    assert claim(db, 1, of_owner=1) == []
    finish(db, first)
    assert claim(db, 1, of_owner=1) == [second]


def test_an_end_while_the_next_is_parked(db: Db, url: str) -> None:
    """A job that is being set aside while its owner's last one ends is not forgotten."""
    first, second = submit(db, owner="a"), submit(db, owner="a")
    assert claim(db, 1, of_owner=1) == [first]
    with (
        ThreadPoolExecutor() as pool,
        psycopg.connect(conninfo(url)) as claims,
        psycopg.connect(conninfo(url), autocommit=True) as ends,
    ):
        assert claim(claims, 1, of_owner=1) == []
        end = pool.submit(finish, ends, first)
        waiting = "SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted"
        while not end.done() and not db.execute(waiting, (ends.info.backend_pid,)).fetchall():
            pass
        claims.commit()
        end.result()
    assert line_of(db) == [second]


def test_a_cancel_gives_its_place_on(db: Db) -> None:
    """A job that is cancelled when it was to go on lets the next one of its owner."""
    jobs = [submit(db, owner="a") for _ in range(3)]
    assert claim(db, 3, of_owner=1) == jobs[:1]
    finish(db, jobs[0])
    db.execute("SELECT cancel(%s, 0, NULL)", (jobs[1],))
    assert line_of(db) == jobs[2:]


def test_a_cancel_while_another_ends(db: Db, url: str) -> None:
    """Jobs in other hands are passed over, so that an end waits for no cancel."""
    jobs = [submit(db, owner="a") for _ in range(3)]
    assert claim(db, 3, of_owner=1) == jobs[:1]
    with psycopg.connect(conninfo(url)) as other:
        dispatch = "SELECT 1 FROM procrastinate_jobs p JOIN jobs j ON j.dispatch = p.id "
        other.execute(f"{dispatch} WHERE j.id = %s FOR UPDATE OF p".encode(), (jobs[1],))
        db.execute("SET lock_timeout = '1s'")
        finish(db, jobs[0])
    assert line_of(db) == jobs[2:]


def test_a_raised_limit(db: Db) -> None:
    """When more of an owner's may run, as many more go on; all of them without a limit."""
    jobs = [submit(db, owner=owner) for owner in ("a", "b") for _ in range(4)]
    assert claim(db, 9, of_owner=1) == [jobs[0], jobs[4]]
    for _ in range(2):
        db.execute("SELECT unpark_more(3, 0)")
        assert line_of(db) == [*jobs[1:3], *jobs[5:7]]
    db.execute("SELECT unpark_more(NULL, 0)")
    assert line_of(db) == [*jobs[1:4], *jobs[5:]]
