"""Where a request ends, as everybody in front of us reads it too."""

from collections.abc import Sequence
from typing import Final

from app.api.problems import Problem

_VERSIONS: Final = ("1.0", "1.1")

_FORWARDED: Final = frozenset((b"x-forwarded-for", b"x-forwarded-proto"))


def require_plain_framing(version: str, fields: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse what a proxy in front might read in another way; raises `Problem`."""
    names = [name for name, _ in fields]
    hosts = names.count(b"host")
    if version not in _VERSIONS:
        raise bad_request("the version is not HTTP/1.1 or 1.0")
    if hosts != 1 and (hosts or version == "1.1"):
        raise bad_request("there has to be one Host header")
    if b"transfer-encoding" not in names:
        return
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if codings != [b"chunked"] or version == "1.0":
        raise bad_request("Transfer-Encoding is chunked, once, or not there")


def is_passed_on(fields: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a proxy says for whom it asks, which is uvicorn's to look at."""
    return not _FORWARDED.isdisjoint(dict(fields))


def bad_request(detail: str) -> Problem:
    """What is no HTTP as it should be."""
    return Problem("bad-request", detail)
