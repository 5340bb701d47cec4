"""A disk that fails, tears and loses writes when a test says so: what SQLite calls a VFS."""

import contextlib
import random
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, cast

import apsw

Kind: TypeAlias = Literal["open", "write", "sync", "truncate", "delete"]
File: TypeAlias = Literal["journal", "wal", "other"]
"""The SQLite file, its write-ahead log, or a rollback journal. Shared memory is no disk's."""

_CODES: Final[Mapping[Kind, int]] = {
    "open": apsw.SQLITE_CANTOPEN,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "delete": apsw.SQLITE_IOERR_DELETE,
}

SECTOR: Final = 512
CHANCES: Final = (0.0, 0.1, 0.5, 0.9, 1.0)
"""How probable it is that a sector which was not synced survives a loss of power."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that is about to happen to a file; numbers count from 1."""

    number: int
    kind: Kind
    file: File
    size: int = 0


class ShortWrite(apsw.FullError):
    """Raised by a hook: only the first bytes of a write find room."""

    def __init__(self, written: int) -> None:
        super().__init__("database or disk is full")
        self.written = written


def full() -> apsw.Error:
    """What a full disk answers."""
    return apsw.FullError("database or disk is full")


def io_error(kind: Kind) -> apsw.Error:
    """What a broken disk answers to an operation of a kind."""
    error: Any = apsw.CantOpenError if kind == "open" else apsw.IOError
    made: Any = error(f"disk I/O error ({kind})")
    made.extendedresult = _CODES[kind]
    return cast(apsw.Error, made)


class Disk:
    """The disk below one folder, for every connection that is opened while it is entered.

    What the hook raises fails an operation: an error of apsw's, for SQLite to make of it what it
    does of the system's. As on Linux, what was written before a failed sync is lost with power,
    also when a later sync succeeds.
    """

    def __init__(self, folder: Path, *, checkpoint_every: int = 1_000) -> None:
        self.folder = folder
        self.before: Callable[[Operation], None] = lambda operation: None
        """Called before each operation, in the thread of the connection; may raise or block."""
        self.operations = 0
        """How many there have been; set to 0 to count anew."""
        self._checkpoint_every = checkpoint_every
        self._lock = threading.RLock()
        self._dead = False
        self._files: dict[str, _Content] = {}
        self._unlinked: dict[str, _Content] = {}

    def __enter__(self) -> Self:
        self._vfs = _Vfs(self)
        apsw.connection_hooks.append(self._connected)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        apsw.connection_hooks.remove(self._connected)
        self._vfs.unregister()

    def mend(self) -> None:
        """Fail nothing any more."""
        self.before = lambda operation: None

    def crash(self) -> None:
        """End the process, as the disk sees it: whatever it still tries fails and does nothing."""
        with self._lock:
            self._dead = True

    def image(self, target: Path, *, power_loss: random.Random | None = None) -> None:
        """Copy the files as a new process would find them.

        After a SIGKILL all writes are there. After a loss of power what was synced is, and by
        chance a sector here and there of what was written, cut off or deleted since.
        """
        target.mkdir(parents=True)
        with self._lock:
            if power_loss is None:
                for name in self._files:
                    shutil.copy(self.folder / name, target / name)
            else:
                self._after_power_loss(target, power_loss)
            for path in self._untouched():
                shutil.copy(path, target / path.name)

    def _untouched(self) -> list[Path]:
        """The files of earlier processes that nobody has opened yet. Shared memory ends with them.

        A crash while a journal is opened comes before its log is.
        """
        known = self._files.keys() | self._unlinked.keys()
        paths = sorted(self.folder.glob("*.sqlite3*"))
        return [p for p in paths if p.name not in known and not p.name.endswith("-shm")]

    def _after_power_loss(self, target: Path, chance: random.Random) -> None:
        for name in sorted(self._files.keys() | self._unlinked.keys()):
            content, before = self._files.get(name), self._unlinked.get(name)
            if content is None or (not content.named and chance.random() < 0.5):
                content = before if before is None or chance.random() < 0.5 else None
            if content is not None:
                (target / name).write_bytes(content.after_power_loss(chance))

    def _connected(self, db: apsw.Connection) -> None:
        """What SQLite does by itself, which then ignores errors; from Python they would escape."""
        every = self._checkpoint_every

        def checkpoint(db: apsw.Connection, name: str, pages: int) -> int:
            if pages >= every:
                with contextlib.suppress(apsw.Error):
                    db.wal_checkpoint()
            return apsw.SQLITE_OK

        db.set_wal_hook(checkpoint)

    def _about_to(self, kind: Kind, file: File, size: int = 0) -> None:
        with self._lock:
            self._require_life()
            self.operations += 1
            operation = Operation(self.operations, kind, file, size)
        self.before(operation)

    def _require_life(self) -> None:
        if self._dead:
            raise apsw.IOError("the process has ended")

    def _folder_synced(self) -> None:
        self._unlinked.clear()
        for content in self._files.values():
            content.named = True


class _Content:
    """What of a file has been synced, and what has happened to it since."""

    def __init__(self, synced: bytes, *, named: bool) -> None:
        self.named = named
        """Whether its name in the folder has been synced."""
        self._synced = bytearray(synced)
        self._since: list[tuple[int, bytes | None]] = []

    def change(self, offset: int, data: bytes | None) -> None:
        """Bytes written at an offset; None: cut off there."""
        self._since.append((offset, data))

    def sync(self) -> None:
        for offset, data in self._since:
            _apply(self._synced, offset, data)
        self._since.clear()

    def sync_failed(self) -> None:
        """The system takes its pages for clean from now on, and never writes them."""
        self._since.clear()

    def after_power_loss(self, chance: random.Random) -> bytes:
        content = bytearray(self._synced)
        likely = chance.choice(CHANCES)
        for offset, data in self._since:
            for part_offset, part in _sectors(offset, data):
                if chance.random() < likely:
                    _apply(content, part_offset, part)
        return bytes(content)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _sectors(offset: int, data: bytes | None) -> Iterator[tuple[int, bytes | None]]:
    """The parts of a change that are made one by one."""
    if data is None:
        yield offset, None
        return
    start = 0
    for boundary in count(offset // SECTOR * SECTOR + SECTOR, SECTOR):
        yield offset + start, data[start : boundary - offset]
        start = boundary - offset
        if start >= len(data):
            return


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        super().__init__("test-disk", "unix", makedefault=True)
        self._disk = disk

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        disk = self._disk
        if path is None or Path(path).parent != disk.folder.resolve():
            return apsw.VFSFile("unix", name, flags)
        return _File(disk, Path(path), name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:
        disk, path = self._disk, Path(name)
        ours = path.name in disk._files and path.parent == disk.folder.resolve()
        if ours:
            disk._about_to("delete", "wal" if name.endswith("-wal") else "other")
        with disk._lock:
            if ours:
                disk._require_life()
            super().xDelete(name, syncdir)
            if ours:
                content = disk._files.pop(path.name)
                if content.named:
                    disk._unlinked[path.name] = content
                if syncdir:
                    disk._folder_synced()


class _File(apsw.VFSFile):
    def __init__(
        self, disk: Disk, path: Path, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._disk = disk
        self._kind: File = "other"
        if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            self._kind = "journal"
        elif flags[0] & apsw.SQLITE_OPEN_WAL:
            self._kind = "wal"
        disk._about_to("open", self._kind)
        with disk._lock:
            disk._require_life()
            old = path.read_bytes() if path.exists() else None
            super().__init__("unix", name, flags)
            if path.name not in disk._files:
                disk._files[path.name] = _Content(old or b"", named=old is not None)
            self._content = disk._files[path.name]

    def xWrite(self, data: bytes, offset: int) -> None:
        try:
            self._disk._about_to("write", self._kind, len(data))
        except ShortWrite as short:
            if short.written:
                self._write(bytes(data[: short.written]), offset)
            raise
        self._write(bytes(data), offset)

    def xTruncate(self, newsize: int) -> None:
        self._disk._about_to("truncate", self._kind, newsize)
        with self._disk._lock:
            self._disk._require_life()
            super().xTruncate(newsize)
            self._content.change(newsize, None)

    def xSync(self, flags: int) -> None:
        try:
            self._disk._about_to("sync", self._kind)
        except apsw.Error:
            with self._disk._lock:
                self._content.sync_failed()
            raise
        with self._disk._lock:
            self._disk._require_life()
            super().xSync(flags)
            self._content.sync()
            if not self._content.named:  # SQLite syncs the folder with a new file of its own
                self._disk._folder_synced()

    def _write(self, data: bytes, offset: int) -> None:
        with self._disk._lock:
            self._disk._require_life()
            super().xWrite(data, offset)
            self._content.change(offset, data)
