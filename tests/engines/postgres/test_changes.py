"""Change numbers: what a stream has passed never changes any more."""

from uuid import uuid4

import psycopg
import pytest

from tests.support.postgres import conninfo

SUBMIT = f"SELECT its_version FROM submit({', '.join(['%s'] * 16)})"


def submit(db: psycopg.Connection[tuple[int]]) -> int:
    """Write a job; gives its change number."""
    values = (uuid4(), 0, "echo", None, 0, None, 1, 0, None, None, None, None, b"{}", None)
    [[version]] = db.execute(SUBMIT, (*values, None, None)).fetchall()
    return version


def settled(db: psycopg.Connection[tuple[int]]) -> int:
    """The number below which nothing changes any more."""
    [[bound]] = db.execute("SELECT settled()").fetchall()
    return bound


def connect(url: str) -> psycopg.Connection[tuple[int]]:
    """A connection that does not commit by itself."""
    return psycopg.connect(conninfo(url))


def test_a_later_commit_of_a_smaller_number(url: str) -> None:
    """A number above one that can still be committed is not settled, though it is committed."""
    with connect(url) as slow, connect(url) as quick, connect(url) as reader:
        reader.autocommit = True
        first = submit(slow)
        second = submit(quick)
        quick.commit()
        assert first < second
        assert settled(reader) <= first
        slow.commit()
        assert settled(reader) > second


def test_a_number_taken_late(url: str) -> None:
    """A transaction that began to write early gets its early number, however late it writes."""
    with connect(url) as slow, connect(url) as quick, connect(url) as reader:
        reader.autocommit = True
        slow.execute("UPDATE marks SET last_version = 0")
        quickly = submit(quick)
        quick.commit()
        bound = settled(reader)
        late = submit(slow)
        assert bound <= late < quickly
        slow.commit()
        assert settled(reader) > quickly


def test_one_transaction(url: str) -> None:
    """The changes of one transaction have numbers of their own, in their order."""
    with connect(url) as db:
        versions = [submit(db) for _ in range(3)]
    assert versions == sorted(set(versions))


def test_no_job_gets_a_smaller_number(url: str) -> None:
    """A transaction whose number is older than a job's last change cannot change that job."""
    with connect(url) as slow, connect(url) as quick:
        version = submit(quick)
        quick.commit()
        slow.execute("UPDATE marks SET last_version = 0")
        [[job_id]] = quick.execute("SELECT id FROM jobs WHERE version = %s", (version,)).fetchall()
        quick.execute("SELECT cancel(%s, 0, NULL)", (job_id,))
        quick.commit()
        slow.rollback()
        slow.execute("UPDATE marks SET last_version = 0")
        again = submit(quick)
        quick.commit()
        [[other]] = quick.execute("SELECT id FROM jobs WHERE version = %s", (again,)).fetchall()
        quick.rollback()
        with pytest.raises(psycopg.errors.SerializationFailure):
            slow.execute("SELECT cancel(%s, 0, NULL)", (other,))
