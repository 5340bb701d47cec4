import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from app.engines.embedded.kept_secrets import empty_log, keep, scrub
from app.engines.embedded.migrations import migrate

SECRET = b"canary-0d6a"


@pytest.fixture
def db(store: Path) -> Iterator[apsw.Connection]:
    """A journal as it is written."""
    store.mkdir()
    db = connect(store)
    migrate(db)
    yield db
    db.close(True)


def connect(store: Path) -> apsw.Connection:
    """A connection that does not wait for the disk."""
    db = apsw.Connection(str(store / "journal"))
    db.pragma("journal_mode", "wal")
    db.pragma("synchronous", "off")
    return db


@pytest.mark.parametrize("sizes", [(1, 5, 10, 30), (1, 10, 100, 500, 2_000)], ids=["small", "big"])
@pytest.mark.parametrize("seed", range(3))
def test_no_page_keeps_a_copy(
    db: apsw.Connection, store: Path, sizes: tuple[int, ...], seed: int
) -> None:
    """In whatever order secrets of any size come and go, none is left anywhere in the file."""
    dice = random.Random(seed)
    coming, here = iter(range(0, 40_000, 40)), set[int]()
    left = 1_000
    while left or here:
        with db:
            for _ in range(dice.randint(1, 20)):
                if left and dice.random() < 0.6:
                    left -= 1
                    here.add(high := next(coming) + dice.randrange(40))
                    keep(db, high, SECRET * dice.choice(sizes))
                elif here:
                    here.remove(high := dice.choice(sorted(here)))
                    scrub(db, high)
    assert empty_log(lambda: connect(store))
    assert [path.name for path in store.iterdir() if SECRET in path.read_bytes()] == []


def test_other_changes_go_on_as_before(db: apsw.Connection) -> None:
    """Overwriting what is freed costs other changes nothing: it is for these alone."""
    off = db.pragma("secure_delete", False)
    keep(db, 1, SECRET)
    assert db.pragma("secure_delete") == off
    scrub(db, 1)
    assert db.pragma("secure_delete") == off
    keep(db, 1, SECRET)
    with pytest.raises(apsw.ConstraintError):
        keep(db, 1, SECRET)
    assert db.pragma("secure_delete") == off


def test_what_is_not_there_is_no_scrub(db: apsw.Connection) -> None:
    """Only the end of a job that had secrets counts as one that the log is to be emptied after."""
    scrub(db, 1)
    assert db.execute("SELECT scrubs FROM marks").fetchall() == [(0,)]
    keep(db, 1, SECRET)
    scrub(db, 1)
    scrub(db, 1)
    assert db.execute("SELECT scrubs FROM marks").fetchall() == [(1,)]


class Noting(apsw.Connection):
    """A connection that notes how long it was told to wait for others, in milliseconds."""

    patience = 0

    def set_busy_timeout(self, milliseconds: int) -> None:
        """Note it, and do as told."""
        super().set_busy_timeout(milliseconds)
        self.patience = milliseconds


def test_a_reader_is_not_waited_for_long(db: apsw.Connection, store: Path) -> None:
    """While somebody reads the log stays, and the attempt holds up who writes for a moment only."""
    keep(db, 1, SECRET)
    opened: list[Noting] = []

    def open_one() -> Noting:
        opened.append(Noting(str(store / "journal")))
        opened[-1].pragma("journal_mode", "wal")
        return opened[-1]

    with closing(connect(store)) as reader:
        reader.execute("BEGIN")
        assert len(reader.execute("SELECT * FROM secrets").fetchall()) == 1
        scrub(db, 1)
        assert not empty_log(open_one)
        reader.execute("COMMIT")
        assert empty_log(open_one)
    assert [0 < one.patience <= 250 for one in opened] == [True, True]
