"""The key of the fingerprints by which repeated submissions are known.

It lies beside the journal, not in it: who has a copy of the journal alone cannot try out which
secrets a fingerprint could be of.
"""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

from app.durable import sync_folder
from app.jobs.errors import StartUpError

FILE: Final = "fingerprint.key"
"""Its name in the data directory."""

SIZE: Final = 32
"""Bytes."""


class BadFingerprintKey(StartUpError):
    """Raised when the key can be neither read nor made; the message says what to do."""


def fingerprint_key(folder: Path) -> bytes:
    """The key in a folder, both of which are made if there is none. Raises `BadFingerprintKey`.

    Several processes may ask at once: they get the same.
    """
    path = folder / FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadFingerprintKey(f"cannot use the data directory {folder}: {error}") from error
    try:
        if not path.exists():
            _write(path, secrets.token_bytes(SIZE))
        key = path.read_bytes()
    except OSError as error:
        raise BadFingerprintKey(f"cannot use {path}: {error}") from error
    if len(key) != SIZE:
        raise BadFingerprintKey(
            f"{path} does not have {SIZE} bytes: restore it from a backup, or remove it; "
            "submissions repeated from before are then refused as reused keys"
        )
    return key


def _write(path: Path, key: bytes) -> None:
    """Write the file whole or not at all, for its owner's eyes only."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=FILE)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was quicker
            os.link(name, path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)
