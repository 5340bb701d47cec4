"""One request and its answer: uvicorn's cycle, except that a `Reply` goes out in one piece.

uvicorn holds two patterns against each header field of each answer, and writes twice. Here most
fields are known from the start, the values of the others are looked at together, and there is one
write.
"""

import asyncio
import sys
from typing import Any, Final, cast

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.api.errors import refusal
from app.api.problems import Problem
from app.api.replies import WHOLE, Reply

LINGER: Final = 1.0
"""Seconds in which the peer of a refused request may read the answer, while the rest of what it
sends is thrown away: to close a socket that has unread bytes would take the answer from it."""


class Cycle(RequestResponseCycle):
    """Writes a whole reply at once; all other answers are left to uvicorn."""

    async def send(self, message: Any) -> None:
        """Send a whole reply, or a head or some of a body."""
        if message["type"] != WHOLE:
            await super().send(message)
            return
        reply = message["reply"]
        head = reply.head() if self._is_usual(reply) else None
        if head is None:
            await reply(self.scope, self.receive, super().send)
        else:
            self._write(reply, head)

    async def send_500_response(self) -> None:
        """Answer for an app that failed or was cut off; after a beginning or without a taker, end.

        Only the end of the server cuts a request off.
        """
        if self.flow.write_paused:
            self.transport.close()
        elif isinstance(sys.exception(), asyncio.CancelledError):
            detail, headers = "the server ended before it could answer", {"Retry-After": "1"}
            problem = Problem("shutting-down", detail, headers=headers)
            app: Any = refusal(problem, cast(Any, self.scope))
            await app(self.scope, self.receive, self.send)
        else:
            await super().send_500_response()

    def _is_usual(self, reply: Reply) -> bool:
        """Whether the peer may have all of it now, and more after it."""
        return (
            self.keep_alive
            and not self.access_log
            and not self.flow.write_paused
            and not self.disconnected
            and len(reply.body) <= HIGH_WATER_LIMIT
        )

    def _write(self, reply: Reply, head: bytes) -> None:
        parts = [STATUS_LINE[reply.status_code][:-2]]
        for name, value in self.default_headers:
            parts += (b"\r\n", name, b": ", value)
        parts += (head, b"\r\n\r\n", bytes(reply.body))
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
