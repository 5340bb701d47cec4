"""Where a request ends, as everybody in front of us reads it too."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from app.api.problems import Problem
from app.api.replies import Field

_VERSIONS: Final = ("1.0", "1.1")

_ADDRESS: Final = re.compile(rb"\s*[\[\]0-9A-Fa-f.:]+\s*")

KEEPERS: Final = frozenset((b"connection", b"proxy-connection"))
"""What may keep the connection of an HTTP/1.0 request; without them only HTTP/1.1 keeps it."""

_FORWARDED: Final = frozenset((b"x-forwarded-for", b"x-forwarded-proto"))


def require_plain_framing(
    version: str, fields: Sequence[Field], by_name: Mapping[bytes, bytes]
) -> None:
    """Refuse what a proxy in front might read in another way; raises `Problem`.

    `by_name` are the same fields, one of each name.
    """
    is_plain = version == "1.1" and b"host" in by_name and len(by_name) == len(fields)
    if is_plain and b"transfer-encoding" not in by_name:  # as nearly all are
        return
    hosts = [name for name, _ in fields].count(b"host")
    if version not in _VERSIONS:
        raise bad_request("the version is not HTTP/1.1 or 1.0")
    if hosts != 1 and (hosts or version == "1.1"):
        raise bad_request("there has to be one Host header")
    if b"transfer-encoding" not in by_name:
        return
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if codings != [b"chunked"] or version == "1.0":
        raise bad_request("Transfer-Encoding is chunked, once, or not there")


def is_passed_on(by_name: Mapping[bytes, bytes]) -> bool:
    """Whether a proxy says for whom it asks, which is uvicorn's to look at.

    What can be no address is left alone: uvicorn would take any text for one.
    """
    if _FORWARDED.isdisjoint(by_name):
        return False
    addresses = by_name.get(b"x-forwarded-for")
    return addresses is None or all(map(_ADDRESS.fullmatch, addresses.split(b",")))


def bad_request(detail: str) -> Problem:
    """What is no HTTP as it should be."""
    return Problem("bad-request", detail)
