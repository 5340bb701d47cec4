"""Answers made for speed: header fields that never vary are put together once."""

import re
from collections.abc import Iterable, Mapping
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

_UNFIT: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no value of a header field may have."""

FIELDS: Final = "awaitd.request.fields"
"""Where in a request's scope its header fields may be by their names, the first of each."""

WHOLE: Final = "awaitd.response.whole"
"""Where in a request's scope its connection may have a function that sends a whole reply at once,
and says whether it did."""


def complete(fields: list[Field]) -> None:
    """Add what every answer has."""
    names = [name for name, _ in fields]
    fields += _EVERY
    fields += [field for field in _DEFAULTS if field[0] not in names]


def written(fields: Iterable[Field]) -> bytes:
    """Header fields as a connection sends them, after a first line."""
    return b"".join([b"\r\n%s: %s" % field for field in fields])


class Constant:
    """Header fields of many answers, with those that every answer has."""

    def __init__(self, *fields: Field) -> None:
        own = list(fields)
        complete(own)
        self.fields = tuple(own)
        self.written = written(own)


class Fields(list[Field]):
    """The fields of an answer that has what every answer has."""


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
        self._constant = constant
        self._own = headers or {}

    def fields(self) -> Fields:
        """All header fields."""
        own = [(k.lower().encode(), v.encode("latin-1")) for k, v in self._own.items()]
        if self.status_code not in _WITHOUT_BODY:
            own.append((b"content-length", b"%d" % len(self.body)))
        return Fields((*own, *self._constant.fields))

    def head(self) -> bytes | None:
        """The header fields as a connection sends them; None if there is one that it must not."""
        text = ""
        for name, value in self._own.items():
            if not value.isprintable() and _UNFIT.search(value):
                return None
            text += f"\r\n{name.lower()}: {value}"
        if self.status_code not in _WITHOUT_BODY:
            text += f"\r\ncontent-length: {len(self.body)}"
        return text.encode("latin-1") + self._constant.written

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        status, fields = self.status_code, self.fields()
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": self.body})
