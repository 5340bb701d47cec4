"""The secrets of jobs that have not ended, in a table of their own.

They are gone from the file when their rows are: what is freed is overwritten while `secure_delete`
is on, which is for every change of this table and, as it costs, for no other. Rows never change.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

import apsw
from msgspec.structs import replace

from app.jobs.ids import halves
from app.jobs.models import Job, Json
from app.jobs.secrets import is_masked

_PATIENCE: Final = 250
"""Milliseconds to wait for others, who wait as well then."""


def keep(db: apsw.Connection, high: int, secrets: Json) -> None:
    """Write the secrets of a new job."""
    with _overwriting(db):
        db.execute("INSERT INTO secrets VALUES (?, ?)", (high, secrets))


def with_secrets(db: apsw.Connection, job: Job) -> Job:
    """The job with its secrets, if it has any and has not ended."""
    if not is_masked(job.params):
        return job
    sql = "SELECT params FROM secrets WHERE high = ?"
    row = db.execute(sql, halves(job.id)[:1]).fetchone()
    return job if row is None else replace(job, secrets=row[0])


def scrub(db: apsw.Connection, high: int) -> None:
    """Forget the secrets of a job, in the change that ends it."""
    if db.execute("SELECT 1 FROM secrets WHERE high = ?", (high,)).fetchone() is None:
        return
    with _overwriting(db):
        db.execute("DELETE FROM secrets WHERE high = ?", (high,))
    db.execute("UPDATE marks SET scrubs = scrubs + 1")


def empty_log(connect: Callable[[], apsw.Connection]) -> bool:
    """Move all that SQLite's log holds to where it belongs; False if that cannot be done now."""
    try:
        with closing(connect()) as db:
            db.set_busy_timeout(_PATIENCE)
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except (apsw.Error, OSError):  # somebody reads, or the disk fails: who writes will tell
        return False
    return True


@contextmanager
def _overwriting(db: apsw.Connection) -> Iterator[None]:
    db.pragma("secure_delete", True)
    try:
        yield
    finally:
        db.pragma("secure_delete", False)
