"""Copies of the journal, made by the process that serves it: no other one may open the file."""

import asyncio
import contextlib
import os
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote

import apsw

from app.engines.embedded.damage import Damage, is_damage
from app.jobs.errors import StoreUnavailable

_ENDING: Final = ".backup"

_LOOK_EVERY: Final = 100_000
"""Steps of SQLite's machine, some milliseconds, until it looks whether it is to stop."""


class Backups:
    """Makes copies of the journal at `path`, one at a time, in a thread of its own.

    Submissions and jobs go on meanwhile: SQLite lets readers and the writer pass each other.
    """

    def __init__(self, path: Path, damage: Damage) -> None:
        self._path = path
        self._copy = path.with_name(path.name + _ENDING)
        self._damage = damage
        self._thread = ThreadPoolExecutor(1, "awaitd-backup")
        self._stop = threading.Event()

    def tidy(self) -> None:
        """Remove what there is of a copy, or a crash has left of one; raises OSError."""
        for ending in ("", "-journal"):  # SQLite has one of its own for what it writes
            Path(f"{self._copy}{ending}").unlink(missing_ok=True)

    async def make(self) -> BinaryIO:
        """A checked copy of all that was committed before, which is gone once it is closed.

        Raises `StoreUnavailable`.
        """
        self._require_open()
        made = self._thread.submit(self._make)
        try:
            return await asyncio.wrap_future(made)
        except asyncio.CancelledError:
            made.add_done_callback(_drop)  # nobody is left to close it
            raise

    def close(self) -> None:
        """Break off what is being copied; blocks for a moment."""
        self._stop.set()
        self._thread.shutdown()

    def _make(self) -> BinaryIO:
        self._require_open()
        try:
            self._require_room()
            self._write()
            self._check()
            return self._copy.open("rb")
        except apsw.InterruptError as error:
            raise StoreUnavailable("the journal is closed") from error
        except (apsw.Error, OSError) as error:
            text = f"{type(error).__name__}: {error}"
            if is_damage(error):
                self._damage.see(text)
            told = type(error).__name__ if isinstance(error, OSError) else text
            raise StoreUnavailable(f"no backup could be made ({told})") from error
        finally:
            self.tidy()

    def _require_open(self) -> None:
        if self._stop.is_set():
            raise StoreUnavailable("the journal is closed")

    def _require_room(self) -> None:
        """Leave the room that there is to the jobs if it is not enough for both."""
        names = (self._path, Path(f"{self._path}-wal"))
        needed = sum(path.stat().st_size for path in names if path.exists())
        if shutil.disk_usage(self._path.parent).free < needed:
            raise StoreUnavailable(
                f"a backup needs {needed} bytes in the data directory for a moment: make room there"
            )

    def _write(self) -> None:
        os.close(os.open(self._copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with contextlib.closing(self._connect(self._path)) as db:
            db.set_busy_timeout(5_000)
            db.execute("VACUUM INTO ?", (str(self._copy),))

    def _check(self) -> None:
        """Raise `apsw.CorruptError` for a copy that would be no use, as its journal is none."""
        with contextlib.closing(self._connect(self._copy, "immutable=1")) as db:
            [(found,)] = db.execute("PRAGMA integrity_check(1)").fetchall()
        if found != "ok":
            raise apsw.CorruptError(found)

    def _connect(self, path: Path, options: str = "") -> apsw.Connection:
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        db = apsw.Connection(f"file:{quote(str(path.absolute()))}?{options}", flags=flags)
        db.set_progress_handler(self._stop.is_set, _LOOK_EVERY)
        return db


def _drop(made: Future[BinaryIO]) -> None:
    if not made.cancelled() and made.exception() is None:
        made.result().close()
