"""Answers made for speed: header fields that never vary are put together once."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

Field: TypeAlias = tuple[bytes, bytes]
"""A header field, its name in lower case."""

_EVERY: Final = (
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""Of every answer; no route sets them. A browser gets no more than it needs, since an answer may
hold what a stranger has submitted."""

_DEFAULTS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Of every answer that does not say otherwise."""

_WITHOUT_BODY: Final = (204, 304)


def complete(fields: list[Field]) -> None:
    """Add what every answer has."""
    names = [name for name, _ in fields]
    fields += _EVERY
    fields += [field for field in _DEFAULTS if field[0] not in names]


class Constant:
    """Header fields of many answers, with those that every answer has."""

    def __init__(self, *fields: Field) -> None:
        own = list(fields)
        complete(own)
        self.fields = tuple(own)
        self.written = b"".join(b"\r\n%s: %s" % field for field in own)
        """As a connection sends them, after a first line."""


class Fields(list[Field]):
    """All fields of one answer: its own and, after them, constant ones, unless others add some."""

    own: int
    """How many of them are its own."""
    constant: Constant

    @property
    def is_as_made(self) -> bool:
        """Whether nobody on the way has added or changed any behind its own."""
        return tuple(self[self.own :]) == self.constant.fields


_JSON: Final = (b"content-type", b"application/json")
_PROBLEM: Final = (b"content-type", b"application/problem+json")
_PRIVATE: Final = (
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"Prefer, Authorization"),
)
"""Of every answer that is a job: it is one caller's, and asked about each time."""

PLAIN: Final = Constant(_JSON)
JOB: Final = Constant(*_PRIVATE, _JSON)
EMPTY: Final = Constant(*_PRIVATE)
PROBLEM: Final = Constant(_PROBLEM)
PROBLEM_OF_JOB: Final = Constant(*_PRIVATE, _PROBLEM)


class Reply(Response):
    """Bytes and their header fields; complete, whatever it passes through."""

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        constant: Constant = PLAIN,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`headers` are in addition to the constant ones, and none of them twice."""
        self.status_code = status
        self.body = body
        self.background = None
        own = []
        if headers:
            own = [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()]
        if status not in _WITHOUT_BODY:
            own.append((b"content-length", b"%d" % len(body)))
        self.fields = self.raw_headers = Fields([*own, *constant.fields])
        self.fields.own, self.fields.constant = len(own), constant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.fields}
        await send(start)
        await send({"type": "http.response.body", "body": self.body})
