"""How the command line gets a page, and a copy of the store into a file; standard library only."""

import fcntl
import http.client
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Final
from urllib.parse import urlsplit

from app.durable import sync_folder

REACH_WITHIN: Final = 2.0
"""Seconds within which a server that is there answers."""

_MAKE_WITHIN: Final = 600.0
"""Seconds for the server to make its copy, and then for each part of it to come."""

_CHUNK: Final = 1 << 18
_PROBLEM: Final = 1 << 16
_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = 100


class Unreachable(Exception):
    """Raised when no server answers in time."""


class Refused(Exception):
    """Raised when the server does not do it, with what it says."""


class Incomplete(Exception):
    """Raised when not all of the copy came, or something else."""


@contextmanager
def connected(url: str, timeout: float) -> Iterator[tuple[http.client.HTTPConnection, str]]:
    """A connection to a server, and the path of its root. Raises ValueError for a strange URL.

    Not by urllib, which takes half as long again, and a proxy.
    """
    parts = urlsplit(url.rstrip("/"))
    scheme = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    with closing(scheme(parts.netloc, timeout=timeout)) as connection:
        yield connection, parts.path


def get(
    url: str, path: str, headers: Mapping[str, str] | None = None, *, within: float = REACH_WITHIN
) -> tuple[int, bytes]:
    """Status and body of a page; raises `Unreachable` when it is not there `within` seconds.

    Whatever takes so long: names are looked up, and several addresses tried, without a limit of
    their own, so who is asked is not waited for.
    """
    found: list[tuple[int, bytes] | Unreachable] = []
    asking = Thread(
        target=lambda: found.append(_get(url, path, headers or {}, within)), daemon=True
    )
    asking.start()
    asking.join(within)
    match found:
        case []:
            raise Unreachable(f"cannot reach {url}: no answer within {within:g} s")
        case [Unreachable() as error]:
            raise error
        case [(status, body)]:
            return status, body
    raise AssertionError(found)


def _get(
    url: str, path: str, headers: Mapping[str, str], timeout: float
) -> tuple[int, bytes] | Unreachable:
    try:
        with connected(url, timeout) as (connection, root):
            connection.request("GET", root + path, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Unreachable(f"cannot reach {url}: {error}")


def fetch_backup(url: str, file: Path, headers: Mapping[str, str]) -> int:
    """Have the server make a copy and put it in place whole; gives its bytes.

    Raises `Unreachable`, `Refused`, `Incomplete`, or OSError for a file that cannot be written.
    """
    get(url, "/livez")  # who makes a copy may take long to answer; who is there does not
    with connected(url, _MAKE_WITHIN) as (connection, root):
        try:
            connection.request("GET", f"{root}/backup", headers=dict(headers))
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{url} does not answer any more: {error!r}") from error
        if answer.status != 200:
            problem = b"".join(_chunks(answer, _PROBLEM))
            raise Refused(_reason_in(problem) or f"it answered {answer.status}")
        with _written(file) as part:
            return _receive(answer, part)


def _receive(answer: http.client.HTTPResponse, part: int) -> int:
    size, header = 0, b""
    for chunk in _chunks(answer, _CHUNK):
        header += chunk[: _HEADER - len(header)]
        size += len(chunk)
        _write(part, chunk)
    if size != _size_in(header):
        raise Incomplete(f"the {size} bytes that came are no whole database")
    return size


def _chunks(answer: http.client.HTTPResponse, size: int) -> Iterator[bytes]:
    try:
        while chunk := answer.read(size):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise Incomplete(f"the server broke off: {error!r}") from error


def _size_in(header: bytes) -> int:
    """The bytes that a database has by its own header; -1 if it is none."""
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        return -1
    page = int.from_bytes(header[16:18], "big")
    return (65_536 if page == 1 else page) * int.from_bytes(header[28:32], "big")


@contextmanager
def _written(file: Path) -> Iterator[int]:
    """A file beside it that takes its name if all goes well, and is gone if not."""
    path = file.with_name(f"{file.name}.part")
    part = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _lock(part, path)
        try:
            yield part
            os.fsync(part)
            require_new(file)
            path.rename(file)
        except BaseException:
            path.unlink()
            raise
        sync_folder(file.parent)
    finally:
        os.close(part)


def require_new(file: Path) -> None:
    """Raise FileExistsError for a file that is there."""
    if file.exists() or file.is_symlink():
        raise FileExistsError(f"{file} is there already: name another file")


def _lock(part: int, path: Path) -> None:
    """Take over what an earlier run has left, but not what another one is writing."""
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = os.path.samestat(os.fstat(part), path.stat())
    except (BlockingIOError, FileNotFoundError):
        mine = False
    if not mine:
        raise FileExistsError(f"another backup is being written to {path}")
    os.fchmod(part, 0o600)
    os.ftruncate(part, 0)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _reason_in(body: bytes) -> str | None:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return None
