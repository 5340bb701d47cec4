"""One data directory, one process."""

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import Final

from app.jobs.errors import StartUpError

_POLL: Final = 0.05


class StoreLocked(StartUpError):
    """Raised when another process holds the data directory; the message names it."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            f"the data directory {folder} is in use by {holder}: stop it, or set "
            "AWAITD_DATA_DIR to another directory (AWAITD_LOCK_WAIT waits for it to end)"
        )


class FolderLock:
    """An exclusive lock on a data directory, which the system lets go when the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "lock"
        self._file: int | None = None

    def acquire(self, wait: float = 0.0) -> None:
        """Take the lock within `wait` seconds; raises `StoreLocked` with its holder."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait
        while not _try_lock(file):
            if time.monotonic() >= deadline:
                os.close(file)
                raise StoreLocked(self._folder, self._holder())
            time.sleep(_POLL)
        self._file = file
        # A forked child that outlives this process must not hold the lock for it.
        os.register_at_fork(after_in_child=self.release)
        note = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
        os.pwrite(file, note, 0)  # over what is there: that needs no room on a full disk
        os.ftruncate(file, len(note))

    def release(self) -> None:
        """Let go; does nothing when it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _holder(self) -> str:
        try:
            note = json.loads(self._path.read_text())
            return f"process {note['pid']} on {note['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
