"""One request and its answer: uvicorn's cycle, except that the head goes out with the body.

uvicorn holds two patterns against each header field of each answer, and writes twice. Here the
names are known from answers before, the values are looked at together, and there is one write.
"""

import asyncio
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, cast

from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

from app.api.errors import refusal
from app.api.problems import Problem
from app.api.replies import Fields

LINGER: Final = 1.0
"""Seconds in which the peer of a refused request may read the answer, while the rest of what it
sends is thrown away: to close a socket that has unread bytes would take the answer from it."""

_FRAMING: Final = (b"connection", b"transfer-encoding")


class Cycle(RequestResponseCycle):
    """What is unusual is left to uvicorn: streams, large bodies, a connection's last answer."""

    _start: HTTPResponseStartEvent | None = None
    """The head of an answer whose body follows at once."""
    _fields = b""
    """Its header fields as they are sent."""
    _length = b""
    """The length of its body as it is declared."""

    async def send(self, message: ASGISendEvent) -> None:
        """Send a head or some of a body."""
        if message["type"] == "http.response.start" and not self.response_started:
            if not self.access_log and self._is_usual(message.get("headers", ())):
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            start, self._start = self._start, None
            if self._is_whole(message):
                self._send_whole(start, message)
                return
            await super().send(start)
        await super().send(message)

    async def send_500_response(self) -> None:
        """Answer for an app that failed or was cut off; after a beginning or without a taker, end.

        Only the end of the server cuts a request off.
        """
        if self._start is not None or self.flow.write_paused:
            self.transport.close()
        elif isinstance(sys.exception(), asyncio.CancelledError):
            detail, headers = "the server ended before it could answer", {"Retry-After": "1"}
            problem = Problem("shutting-down", detail, headers=headers)
            app: Any = refusal(problem, cast(Any, self.scope))
            await app(self.scope, self.receive, self.send)
        else:
            await super().send_500_response()

    def _is_usual(self, fields: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether the header fields are fit to be sent, and declare the length of what follows."""
        self._length, parts, values, constant = b"", [], [], b""
        if isinstance(fields, Fields) and fields.is_as_made:
            constant, fields = fields.constant.written, fields[: fields.own]
        for name, value in fields:
            beginning = _beginning_of(name)
            if beginning is None:
                return False
            if name == b"content-length":
                self._length = value
            values.append(value)
            parts.append(beginning)
            parts.append(value)
        parts.append(constant)
        self._fields = b"".join(parts)
        return self._length != b"" and not HEADER_VALUE_RE.search(b"".join(values))

    def _is_whole(self, message: HTTPResponseBodyEvent) -> bool:
        """Whether that is all of the body and the peer may have it now, with more to follow."""
        size = len(message.get("body", b""))
        return (
            size <= HIGH_WATER_LIMIT
            and self._length == b"%d" % size
            and self.keep_alive
            and not message.get("more_body")
            and not self.flow.write_paused
            and not self.disconnected
        )

    def _send_whole(self, start: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> None:
        parts = [STATUS_LINE[start["status"]][:-2]]
        for name, value in self.default_headers:
            parts += (b"\r\n", name, b": ", value)
        parts += (self._fields, b"\r\n\r\n")
        if self.scope["method"] != "HEAD":
            parts.append(message.get("body", b""))
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"".join(parts))
        self.message_event.set()
        self.on_response()


class Lingering:
    """A transport as the last answer needs it: to close is to write no more, and then to wait."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        """Write no more; close a moment later."""
        if not self._transport.is_closing():
            self._transport.write_eof()
            self._loop.call_later(LINGER, self._transport.close)


@lru_cache(maxsize=256)
def _beginning_of(name: bytes) -> bytes | None:
    """What stands before a field's value; None where uvicorn has to look at the field itself."""
    if HEADER_RE.search(name) or name.lower() in _FRAMING:
        return None
    return b"\r\n%s: " % name.lower()
