"""A damaged journal: how it is told, what is said of it, and what can be done then."""

import logging
import os
import shlex
import struct
from pathlib import Path
from typing import Final

import apsw

log = logging.getLogger(__name__)

_ERRORS: Final = (apsw.CorruptError, apsw.NotADBError)
_NAMES: Final = tuple(error.__name__ for error in _ERRORS)

NONSENSE: Final = (ValueError, LookupError, TypeError, struct.error)
"""What comes of rows that SQLite reads without complaint although they hold no job."""

_HEADER: Final = 100
_READ_VERSION: Final = 19
"""Where SQLite's header says how the file is written: 2 with a log (WAL), 1 without."""


class NoJournal(Exception):
    """Raised when what lies in the journal's place cannot have been one, or not with its log."""


class Damage:
    """What was found damaged since the journal was opened. It stays so: a restart has to mend it.

    Any thread may tell of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found: str | None = None
        """What was found first, for those whom the journal cannot serve any more."""

    def see(self, error: str) -> None:
        """Take note of damage, and log the first with how to restore."""
        if self.found is None:
            self.found = f"the journal is damaged ({error}); the log says how to restore it"
            log.critical("%s is damaged (%s): %s", self._path, error, how_to_restore(self._path))

    def see_if_any(self, error: str | None) -> None:
        """Take note of what a writer says that it fails of, if that is damage."""
        if error is not None and error.startswith(_NAMES):
            self.see(error)


def is_damage(error: BaseException) -> bool:
    """Whether an error tells of damage, rather than of a disk that is full or fails."""
    return isinstance(error, (*_ERRORS, NoJournal, *NONSENSE))


def how_to_restore(path: Path) -> str:
    """The steps, as commands to paste."""
    file, log_file, index = (shlex.quote(f"{path}{end}") for end in ("", "-wal", "-shm"))
    return (
        f"stop awaitd, put a backup in its place with "
        f"`rm -f {log_file} {index} && install -m 600 BACKUP {file}` and start again; "
        "without a backup, move the three files away to begin with an empty journal"
    )


def look_at(path: Path) -> bool:
    """Whether the file is a backup that was put there: it was written without a log.

    Makes an empty one where there is none. Raises `NoJournal` when the log beside it is another
    journal's, which SQLite would delete with all that it holds, or mix into this one; and OSError.
    No connection of this process may be open: the system would forget its locks.
    """
    if path.is_dir():
        raise NoJournal("it is a directory")
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        header = os.read(file, _HEADER)
    finally:
        os.close(file)
    restored = len(header) == _HEADER and header[_READ_VERSION] == 1
    log_file = Path(f"{path}-wal")
    if (restored or not header) and log_file.exists() and log_file.stat().st_size:
        what = "a backup" if restored else "empty"
        raise NoJournal(f"it is {what}, but the log beside it, {log_file.name}, is not")
    return restored
