"""One request and its answer: uvicorn's cycle, except that a `Reply` goes out in one piece.

uvicorn holds two patterns against each header field of each answer, and writes twice. Here most
fields are known from the start, the values of the others are looked at together, and there is one
write.
"""

import asyncio
import logging
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Final, cast
from urllib.parse import unquote

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from app.api.errors import refusal
from app.api.problems import Problem
from app.api.replies import Field, Reply, written
from app.outbox import Outbox

_STATUS: Final = {status: line.removesuffix(b"\r\n") for status, line in STATUS_LINE.items()}

LINGER: Final = 1.0
"""Seconds in which the peer of a refused request may read the answer, while the rest of what it
sends is thrown away: to close a socket that has unread bytes would take the answer from it."""


class _Nobody:
    """What is told of news as an `asyncio.Event` is, while nobody waits for any."""

    def set(self) -> None:
        """Do nothing."""


_NOBODY: Final = _Nobody()


class Answering(HttpToolsProtocol):
    """A connection that has its whole replies sent with those of others."""

    outbox: ClassVar[Outbox]
    """Of all connections of a server."""


class Cycle(RequestResponseCycle):
    """Writes a whole reply at once; all other answers are left to uvicorn."""

    # uvicorn's attributes, and three. In slots, for some are set late: in Python 3.11 each cycle
    # would need a dict of its own for them.
    __slots__ = (
        "_connection",
        "_is_open",
        "_is_read",
        "body",
        "chunked_encoding",
        "disconnected",
        "expected_content_length",
        "flow",
        "keep_alive",
        "message_event",
        "more_body",
        "on_response",
        "response_complete",
        "response_started",
        "scope",
        "transport",
        "waiting_for_100_continue",
    )

    _of_every_answer: ClassVar[tuple[Sequence[Field], bytes]] = ((), b"")
    """The default headers that were sent last, and how they are written."""

    def __init__(self, connection: Answering, scope: Any, transport: Any) -> None:
        """A request of a connection, whose answer goes to `transport`; the last one at first."""
        self.scope = scope
        self.transport = transport
        self.flow = connection.flow
        self._connection = connection
        self.on_response = connection.on_response_complete
        self.message_event: Any = _NOBODY
        """Where the app waits for more of the body, or for the end of it all."""
        self.body = bytearray()
        self.more_body = True
        self.disconnected = self.keep_alive = self.waiting_for_100_continue = False
        self.response_started = self.response_complete = False
        self.chunked_encoding: bool | None = None
        self.expected_content_length = 0
        self._is_open = False
        """Whether the body ends with the connection."""
        self._is_read = False
        """Whether the app was given all of the request's body at once."""

    @property
    def logger(self) -> logging.Logger:  # type: ignore[override]
        """What it writes to of its own."""
        return self._connection.logger

    @property
    def access_logger(self) -> logging.Logger:  # type: ignore[override]
        """That of requests that are answered."""
        return self._connection.access_logger

    @property
    def access_log(self) -> bool:  # type: ignore[override]
        """Whether those are logged."""
        return self._connection.access_log

    @property
    def default_headers(self) -> list[Field]:  # type: ignore[override]
        """Of every answer."""
        return self._connection.server_state.default_headers

    def send_whole(self, reply: Reply) -> bool:
        """Send all of a reply, if the peer may have it now, and more after it; else send nothing.

        True if it was sent.
        """
        connection = self._connection
        if (
            not self.keep_alive
            or connection.access_log
            or self.flow.write_paused
            or self.disconnected
            or len(reply.body) > HIGH_WATER_LIMIT
            or (head := reply.head()) is None
        ):
            return False
        headers, first = self._of_every_answer
        present = connection.server_state.default_headers
        if headers is not present:  # uvicorn makes them anew each second
            headers, first = present, written(present)
            Cycle._of_every_answer = headers, first
        parts = (_STATUS[reply.status_code], first, head, b"\r\n\r\n", reply.body)
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        connection.outbox.put(self.transport, b"".join(parts), connection.loop)
        self.message_event.set()
        self.on_response()
        return True

    async def run_asgi(self, app: Any) -> None:
        """Have the app answer, and let go of the task in which it does.

        What is wrong with an answer uvicorn says, as ever; only the ordinary way is ours, which
        does without a callback for each task and a function for each request.
        """
        try:
            try:
                result = await app(self.scope, self.receive, self.send)
            except BaseException as error:
                self._connection.outbox.send()
                await super().run_asgi(cast(Any, partial(_raise, [error])))
            else:
                if result is not None or not self.response_complete:
                    self._connection.outbox.send()
                    await super().run_asgi(cast(Any, partial(_return, result)))
        finally:
            connection = self._connection
            connection.tasks.discard(cast(Any, asyncio.current_task(connection.loop)))

    async def send(self, message: Any) -> None:
        """Send a head or some of a body; to HTTP/1.0, which knows no chunks, all that comes."""
        if message["type"] == "http.response.start":
            if self.scope.get("http_version") == "1.0":
                self._is_open = b"content-length" not in dict(message.get("headers", ()))
                self.chunked_encoding = False if self._is_open else None
        elif self._is_open:
            more = bool(message.get("more_body", False))
            self.expected_content_length = len(message.get("body", b"")) + more
        await super().send(message)

    async def receive(self) -> Any:
        """The next part of the body; after the last one, in time, that it is all over."""
        if self.message_event is _NOBODY:
            is_all_there = not (self.more_body or self._is_read)
            is_over = self.disconnected or self.response_complete
            if is_all_there and not is_over and not self.flow.read_paused:  # as nearly always
                self._is_read = True
                self.waiting_for_100_continue = False  # it has not waited for that
                body, self.body = bytes(self.body), bytearray()
                return {"type": "http.request", "body": body, "more_body": False}
            self.message_event = asyncio.Event()
            if self.body or is_all_there or is_over:
                self.message_event.set()
        return await super().receive()

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


async def _return(result: object, *_: object) -> object:
    """An app that has answered nothing more when it returns."""
    return result


async def _raise(errors: list[BaseException], *_: object) -> None:
    """An app that raises; it keeps nothing of the error, whose traceback leads here."""
    raise errors.pop()


def scope_of_refused(
    method: bytes, path: bytes | None, root_path: str, client: Any
) -> dict[str, Any]:
    """A request of which only the method and the path may be known."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method.decode(),
        "path": unquote((path or b"/").decode("ascii")),
        "query_string": b"",
        "root_path": root_path,
        "headers": [],
        "client": client,
    }
