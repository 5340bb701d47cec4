"""Where a request ends, as everybody in front of us reads it too."""

from collections.abc import Sequence
from typing import Final

from app.api.problems import Problem

_VERSIONS: Final = ("1.0", "1.1")


def require_plain_framing(version: str, fields: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse what a proxy in front might read in another way; raises `Problem`."""
    hosts, codings = 0, []
    for name, value in fields:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            codings.append(value.lower())
    if version not in _VERSIONS:
        raise bad_request("the version is not HTTP/1.1 or 1.0")
    if hosts != 1 and (hosts or version == "1.1"):
        raise bad_request("there has to be one Host header")
    if codings and (codings != [b"chunked"] or version == "1.0"):
        raise bad_request("Transfer-Encoding is chunked, once, or not there")


def bad_request(detail: str) -> Problem:
    """What is no HTTP as it should be."""
    return Problem("bad-request", detail)
