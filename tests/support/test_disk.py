"""The disk that fails: what it loses, keeps, tears and refuses."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tests.support.disk import SECTOR, Disk, Operation, ShortWrite, full, io_error

NAME = "numbers.sqlite3"
WAL = f"{NAME}-wal"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk with a folder."""
    (tmp_path / "disk").mkdir()
    with Disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def db(disk: Disk) -> Iterator[apsw.Connection]:
    """A table of numbers on it, in SQLite's durable way."""
    with closing(connect(disk.folder)) as db:
        db.execute("CREATE TABLE numbers (number)")
        yield db
        disk.mend()


def connect(folder: Path) -> apsw.Connection:
    """Another connection."""
    db = apsw.Connection(str(folder / NAME))
    db.pragma("journal_mode", "wal")
    db.pragma("synchronous", "full")
    return db


def add(db: apsw.Connection, number: int) -> None:
    """Commit one number."""
    db.execute("INSERT INTO numbers VALUES (?)", (number,))


def numbers(folder: Path) -> list[int]:
    """What is there, in order."""
    with closing(connect(folder)) as db:
        return [number for (number,) in db.execute("SELECT number FROM numbers ORDER BY rowid")]


def at(number: int, kind: str, error: Callable[[], BaseException]) -> Callable[[Operation], None]:
    """Fails the operation of a kind that comes as the `number`-th of it on the log."""
    seen = 0

    def before(operation: Operation) -> None:
        nonlocal seen
        seen += (operation.kind, operation.file) == (kind, "wal")
        if (operation.kind, operation.file) == (kind, "wal") and seen == number:
            raise error()

    return before


def test_counts_what_happens(disk: Disk, db: apsw.Connection) -> None:
    """Every operation is announced with its number, its kind and its file."""
    seen: list[Operation] = []
    disk.operations = 0
    disk.before = seen.append
    add(db, 1)
    assert [operation.number for operation in seen] == [1, 2, 3]
    assert [(o.kind, o.file, o.size) for o in seen] == [
        ("write", "wal", 24),
        ("write", "wal", 4096),
        ("sync", "wal", 0),
    ]


def test_images(disk: Disk, db: apsw.Connection, tmp_path: Path) -> None:
    """What was synced survives a loss of power, what was written survives a SIGKILL."""
    add(db, 1)

    def images(operation: Operation) -> None:
        if operation.kind == "sync":
            disk.image(tmp_path / "killed")
            for seed in range(20):
                disk.image(tmp_path / f"{seed}", power_loss=random.Random(seed))

    disk.before = images
    add(db, 2)
    disk.mend()
    disk.image(tmp_path / "synced", power_loss=random.Random(0))
    assert numbers(tmp_path / "killed") == [1, 2]
    assert numbers(tmp_path / "synced") == [1, 2]
    survived = [numbers(tmp_path / f"{seed}") for seed in range(20)]
    assert [1] in survived
    assert [1, 2] in survived
    assert all(found in ([1], [1, 2]) for found in survived)


def test_torn_at_sectors(disk: Disk, db: apsw.Connection, tmp_path: Path) -> None:
    """Of what was not synced any sector may be lost, and none is lost in part."""
    before = (disk.folder / WAL).read_bytes()
    torn = set()

    def images(operation: Operation) -> None:
        if operation.kind == "sync":
            after = (disk.folder / WAL).read_bytes()
            for seed in range(20):
                disk.image(tmp_path / f"{seed}", power_loss=random.Random(seed))
                found = (tmp_path / f"{seed}" / WAL).read_bytes()
                torn.add(found)
                for start in range(0, len(found), SECTOR):
                    part = slice(start, start + SECTOR)
                    in_frame = start % SECTOR == 0 and start > len(before)
                    if in_frame:
                        assert found[part] in (after[part], bytes(len(found[part])))

    disk.before = images
    add(db, 1)
    disk.mend()
    assert len(torn) > 5


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("write", full),
        ("write", lambda: io_error("write")),
        ("write", lambda: ShortWrite(100)),
        ("sync", lambda: io_error("sync")),
    ],
)
def test_failures(
    disk: Disk, db: apsw.Connection, kind: str, error: Callable[[], apsw.Error]
) -> None:
    """A failing operation fails its statement with its error, and no other statement."""
    add(db, 1)
    for number in (1, 2) if kind == "write" else (1,):
        disk.before = at(number, kind, error)
        with pytest.raises(type(error())):
            add(db, 2)
        assert numbers(disk.folder) == [1]
    add(db, 3)
    assert numbers(disk.folder) == [1, 3]


def test_short_write(disk: Disk, db: apsw.Connection) -> None:
    """A short write leaves its first bytes."""
    size = (disk.folder / WAL).stat().st_size
    disk.before = at(2, "write", lambda: ShortWrite(100))
    with pytest.raises(apsw.FullError):
        add(db, 1)
    assert (disk.folder / WAL).stat().st_size == size + 24 + 100


def test_failed_sync_loses_what_was_written(
    disk: Disk, db: apsw.Connection, tmp_path: Path
) -> None:
    """What was written before a failed sync is not saved by a later one that succeeds."""
    disk.before = at(1, "sync", lambda: io_error("sync"))
    with pytest.raises(apsw.IOError):
        add(db, 1)
    disk.mend()
    synced: list[Operation] = []
    disk.before = synced.append
    db.wal_checkpoint()
    assert ("sync", "wal") in [(o.kind, o.file) for o in synced]
    disk.image(tmp_path / "image", power_loss=random.Random(0))
    assert (tmp_path / "image" / WAL).stat().st_size < (disk.folder / WAL).stat().st_size


def test_crash(disk: Disk) -> None:
    """A process that has ended writes nothing any more, however often it tries."""
    db = connect(disk.folder)
    db.execute("CREATE TABLE numbers (number)")
    seen: list[Operation] = []

    def before(operation: Operation) -> None:
        seen.append(operation)
        disk.crash()

    disk.before = before
    content = (disk.folder / WAL).read_bytes()
    for _ in range(3):
        with pytest.raises(apsw.IOError, match="has ended"):
            add(db, 2)
    assert len(seen) == 1
    with pytest.raises(apsw.IOError, match="has ended"):
        db.close()
    assert (disk.folder / WAL).read_bytes() == content


def test_failing_checkpoint(tmp_path: Path) -> None:
    """A commit whose automatic checkpoint fails is a success, as it is with SQLite's own."""
    with Disk(tmp_path, checkpoint_every=1) as disk, closing(connect(tmp_path)) as db:
        db.execute("CREATE TABLE numbers (number)")
        failed: list[Operation] = []

        def before(operation: Operation) -> None:
            if operation.file == "journal" and operation.kind == "write":
                failed.append(operation)
                raise full()

        disk.before = before
        add(db, 1)
        disk.mend()
        assert failed
        add(db, 2)
        assert numbers(tmp_path) == [1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_new_files(tmp_path: Path, seed: int) -> None:
    """A file that is deleted without a sync of its folder may come back, and harms nothing."""
    with Disk(tmp_path / "disk") as disk:
        disk.folder.mkdir()
        with closing(connect(disk.folder)) as db:
            db.execute("CREATE TABLE numbers (number)")
            add(db, 1)
        disk.image(tmp_path / "closed", power_loss=random.Random(seed))
        with closing(connect(disk.folder)) as db:
            add(db, 2)
            disk.image(tmp_path / "open", power_loss=random.Random(seed))
    assert numbers(tmp_path / "closed") == [1]
    assert numbers(tmp_path / "open") == [1, 2]


@pytest.mark.parametrize("power_loss", [None, random.Random(0)])
def test_crash_before_the_log_is_opened(tmp_path: Path, power_loss: random.Random | None) -> None:
    """What earlier processes left, and a new one has not opened yet, is in the image too."""
    with Disk(tmp_path / "disk") as disk:
        disk.folder.mkdir()
        with closing(connect(disk.folder)) as db:
            db.execute("CREATE TABLE numbers (number)")
            add(db, 1)
            disk.image(tmp_path / "left")
    with Disk(tmp_path / "left") as disk, closing(apsw.Connection(str(disk.folder / NAME))):
        disk.image(tmp_path / "crashed", power_loss=power_loss)
    assert numbers(tmp_path / "crashed") == [1]
