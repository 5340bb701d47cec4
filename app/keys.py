"""API keys: who may call and what for. Their file holds hashes, never a key.

The command line writes the file, the server reads it again when it has changed, so that a key that
was added or removed counts from the next request on.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from app.durable import sync_folder

log = logging.getLogger("awaitd.audit")

FILE: Final = "keys.json"
"""Its name in the data directory."""

SUBMIT: Final = "submit"
READ: Final = "read"
CANCEL: Final = "cancel"
ADMIN: Final = "admin"

SCOPES: Final = (SUBMIT, READ, CANCEL, ADMIN)
"""What a key may be for; `submit:TASK` is to submit one task."""

DEFAULT_SCOPES: Final = (SUBMIT, READ, CANCEL)

_NAME: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_SCOPE: Final = re.compile(r"submit:[A-Za-z0-9_.-]{1,64}")
_KEY: Final = re.compile(r"awaitd_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_NOBODY: Final = "0" * 64
_PAUSE: Final = 1.0
"""Seconds until a file that could not be read is tried again."""


class BadKeys(Exception):
    """Raised when a key cannot be made, found or read; the message says what to do."""


class InvalidKey(BadKeys):
    """Raised when a key is asked for that there cannot be."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept. Times are seconds since the Unix epoch, `sha256` is hexadecimal.

    Several keys may have one `owner`, so that they can be changed without a pause.
    """

    id: str
    owner: str
    sha256: str
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int | None = None

    def allows(self, scope: str) -> bool:
        """Whether it may be used for this; `admin` is for everything."""
        return scope in self.scopes or self.is_admin

    @property
    def is_admin(self) -> bool:
        """Whether it is for everything, and for everybody's jobs."""
        return ADMIN in self.scopes

    @property
    def may_submit(self) -> bool:
        """Whether any task may be submitted with it."""
        return self.allows(SUBMIT) or any(_SCOPE.fullmatch(scope) for scope in self.scopes)

    def allows_task(self, task: str) -> bool:
        """Whether this task may be submitted with it."""
        return self.allows(SUBMIT) or f"{SUBMIT}:{task}" in self.scopes


class KeyFile:
    """The file, for those who change it: one at a time, and whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def read(self) -> tuple[ApiKey, ...]:
        """The keys there are, in the order in which they were made; raises `BadKeys`."""
        try:
            return tuple(_key_of(kept) for kept in json.loads(self.path.read_text())["keys"])
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except (OSError, ValueError, KeyError, TypeError, InvalidKey) as error:
            raise BadKeys(f"{self.path} cannot be read as API keys: {error}") from error

    def add(
        self, owner: str, scopes: Sequence[str] = DEFAULT_SCOPES, days: float | None = None
    ) -> str:
        """A new key, which is told this once; raises `InvalidKey` or `BadKeys`."""
        _require_valid(owner, scopes, days)
        now = int(time.time())
        with self._locked():
            keys = self.read()
            key_id = secrets.token_hex(4)
            while any(key.id == key_id for key in keys):
                key_id = secrets.token_hex(4)
            text = f"awaitd_{key_id}_{secrets.token_urlsafe(32)}"
            expires_at = None if days is None else now + round(days * 86_400)
            new = ApiKey(key_id, owner, _digest(text), tuple(scopes), now, expires_at)
            self._write((*keys, new))
        return text

    def remove(self, which: str) -> tuple[ApiKey, ...]:
        """Remove the key of this id, else all of this owner; gives them, raises `BadKeys`."""
        with self._locked():
            keys = self.read()
            gone = tuple(key for key in keys if key.id == which) or tuple(
                key for key in keys if key.owner == which
            )
            if not gone:
                raise BadKeys(f"there is no key and no owner {which!r}: see awaitd keys ls")
            self._write(tuple(key for key in keys if key not in gone))
        return gone

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)
        except OSError as error:
            raise BadKeys(f"{self.path} cannot be written: {error}") from error

    def _write(self, keys: Sequence[ApiKey]) -> None:
        text = json.dumps({"keys": [asdict(key) for key in keys]}, indent=1)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
            try:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, self.path)
            except BaseException:
                os.unlink(file.name)
                raise
        sync_folder(self.path.parent)  # else a removed key may come back


class Keys:
    """The keys as a server sees them: the file's, read again when it has changed.

    Once there has been a file, or a job that has an owner, keys are in use: without a file, or with
    an empty one, or with one that could never be read, nobody may call. `are_needed` says whether
    there is such a job.
    """

    def __init__(
        self,
        folder: Path,
        now: Callable[[], float] = time.time,
        are_needed: Callable[[], bool] = lambda: False,
    ) -> None:
        self._file = KeyFile(folder)
        self._path = str(self._file.path)
        self._now = now
        self._are_needed = are_needed
        self._seen: tuple[int, ...] | None = None
        self._keys: Mapping[str, ApiKey] = {}
        self._in_use = self._opened = False
        self._looked = False
        self._again_at = 0.0

    def open(self) -> None:
        """Read the file for the first time; raises `BadKeys`."""
        self._seen = self._stamp()
        self._take(self._file.read())
        self._opened = True

    @property
    def in_use(self) -> bool:
        """Whether callers need a key."""
        self._reread()
        return self._in_use

    def require(self) -> None:
        """Let nobody in without a key from now on: there have been keys, though none is here."""
        if not self._in_use:
            log.warning("there are jobs of owners, but no keys: make one with awaitd keys add NAME")
            self._in_use = True

    def find(self, text: str) -> ApiKey | None:
        """The key that this is, unless it has expired or was removed."""
        self._reread()
        form = _KEY.fullmatch(text)
        key = self._keys.get(form[1]) if form else None
        # Compared even if there is none, so that the time it takes says nothing.
        same = hmac.compare_digest(_digest(text), _NOBODY if key is None else key.sha256)
        return key if key is not None and same and self._is_live(key) else None

    def still_allows(self, key: ApiKey | None, scope: str) -> bool:
        """Whether a caller who was let in with this key, or with none, would be let in again."""
        if key is None:
            return not self.in_use
        self._reread()
        now = self._keys.get(key.id)
        return now is not None and self._is_live(now) and now.allows(scope)

    def _is_live(self, key: ApiKey) -> bool:
        return key.expires_at is None or self._now() < key.expires_at

    def _reread(self) -> None:
        """Look at the file, and at whether keys are needed without one.

        Once in a turn of the event loop: its requests were there before.
        """
        if self._looked:
            return
        with contextlib.suppress(RuntimeError):  # outside of one, each time
            asyncio.get_running_loop().call_soon(self._look_again)
            self._looked = True
        self._look_at_file()
        if not self._in_use and self._are_needed():
            self.require()

    def _look_at_file(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen or self._now() < self._again_at:
            return
        self._in_use = True  # whatever it says, and though it may say nothing
        try:
            keys = self._file.read()
        except BadKeys as error:
            self._again_at = self._now() + _PAUSE
            log.error("the keys stay as they were: %s", str(error))
            return
        self._seen = stamp
        self._take(keys)

    def _look_again(self) -> None:
        self._looked = False

    def _take(self, keys: Sequence[ApiKey]) -> None:
        before = set(self._keys.values())
        self._keys = {key.id: key for key in keys}
        if self._opened:
            for text, changed in (("added", set(keys) - before), ("removed", before - set(keys))):
                for key in sorted(changed, key=lambda key: key.id):
                    log.info("key %s of %s was %s", key.id, key.owner, text)
        self._in_use = self._in_use or self._seen is not None

    def _stamp(self) -> tuple[int, ...] | None:
        """What changes whenever the file does; None when there is none."""
        path = self._path
        if not os.access(path, os.F_OK, effective_ids=True):  # quicker than an exception
            return None
        try:
            found = os.stat(path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


def _key_of(kept: dict[str, Any]) -> ApiKey:
    """A key of the file; raises ValueError, KeyError or TypeError for what is none."""
    key = ApiKey(**{**kept, "scopes": tuple(kept["scopes"])})
    texts = (key.id, key.owner, key.sha256, *key.scopes)
    times = (key.created_at, key.created_at if key.expires_at is None else key.expires_at)
    if not (all(type(text) is str for text in texts) and all(type(time) is int for time in times)):
        raise TypeError("a value is of another type")
    _require_valid(key.owner, key.scopes, None)
    return key


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _require_valid(owner: str, scopes: Sequence[str], days: float | None) -> None:
    if not _NAME.fullmatch(owner):
        raise InvalidKey("a name has 1 to 64 characters of A-Z a-z 0-9 _ . @ -")
    if not scopes:
        raise InvalidKey("a key without a scope is of no use")
    for scope in scopes:
        if scope not in SCOPES and not _SCOPE.fullmatch(scope):
            there_are = f"{', '.join(SCOPES)} and submit:TASK"
            raise InvalidKey(f"there is no scope {scope!r}; there are {there_are}")
    if days is not None and not 0 < days <= 36_600:
        raise InvalidKey("a key expires in up to 36600 days from now")
