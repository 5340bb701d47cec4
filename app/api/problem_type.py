"""What a kind of problem is, and those that a connection has before any route is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem: its slug, its status, what it means and what the caller can do.

    `detail` and `members` are of an example, as one request might get it.
    """

    slug: str
    status: int
    title: str
    meaning: str
    remedy: str
    detail: str
    members: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """Its identifier, which is also the path of its page."""
        return f"/problems/{self.slug}"


CONNECTION_PROBLEMS: Final = (
    ProblemType(
        "bad-request",
        400,
        "The request is not valid HTTP",
        "The bytes are no HTTP/1.1 request, or one that two readers could take for different "
        "ones: two lengths, no `Host` or two, an unusual `Transfer-Encoding`.",
        "Use an HTTP client; the connection is closed.",
        "the request is not valid HTTP/1.1",
    ),
    ProblemType(
        "request-timeout",
        408,
        "The request took too long to arrive",
        "A request has 30 s from its first byte to the end of its body.",
        "Send it in one go; how long the answer takes is another matter.",
        "the request did not arrive within 30 s",
    ),
    ProblemType(
        "headers-too-large",
        431,
        "The headers are too large",
        "The request line and all headers have more than `limit` bytes, or more than `fields` "
        "fields.",
        "Send less; params belong into the body.",
        "a request line and headers may have 65536 bytes in 100 fields",
        {"limit": 65_536, "fields": 100},
    ),
    ProblemType(
        "too-many-connections",
        503,
        "Too many connections are open",
        "As many connections are open as the server answers.",
        "Ask again after `Retry-After`, and use one connection for several requests.",
        "10000 connections are open",
    ),
)
"""In the order of the checks; any route may answer with them."""
