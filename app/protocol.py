"""HTTP/1.1 connections: uvicorn's protocol, with bounds on what a peer may send and how slowly."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.api.errors import refusal
from app.api.problems import Problem

LINGER: Final = 1.0
"""Seconds in which the peer of a refused request may read the answer, while the rest of what it
sends is thrown away: to close a socket that has unread bytes would take the answer from it."""

_VERSIONS: Final = ("1.0", "1.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may do. Times in seconds, sizes in bytes."""

    receive_within: float = 30.0
    """From a request's first byte, or from the connection, to the end of its body."""
    max_head: int = 65_536
    """The request line and all header fields together; a trailer may have as many again."""
    max_fields: int = 100
    max_pipelined: int = 100
    """Requests that wait for the answer to one before them; the connection ends after those."""
    max_connections: int = 10_000
    """Connections of the whole server whose requests are answered."""
    spare_connections: int = 64
    """Beyond them, those that are told so; any more are closed at once."""


class _Enough(Exception):
    """Raised inside the parser to stop it."""


class Connection(HttpToolsProtocol):
    """One connection. A request that breaks a limit or is no HTTP gets a problem, and is the last.

    How long an answer takes is not limited here, nor how long a connection idles between two
    requests: that is uvicorn's part.
    """

    limits: ClassVar = Limits()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        super().connection_made(cast(asyncio.Transport, transport))
        self.url, self.headers = b"", []
        self._deaf = False
        """Whether what arrives is ignored, since the last answer is on its way."""
        self._began: float | None = self.loop.time()
        """When the request that is awaited or arriving began; None between requests."""
        self._arriving: RequestResponseCycle | None = None
        """The request whose head is complete and whose body is not."""
        self._part = self._most = 0
        """Bytes that arrived last, and since the packet in which the request began."""
        self._fed = 0
        """Bytes of packets since then in which neither a body went on nor a request ended."""
        within = self.limits.receive_within
        self._timer = self.loop.call_later(within, self._look_at_the_time)
        surplus = len(self.connections) - self.limits.max_connections
        self._is_surplus = surplus > 0
        if surplus > self.limits.spare_connections:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        if self._began is None:
            self._began = self.loop.time()
        self._part = len(data)
        self._most += self._part
        self._fed += self._part
        try:
            self._parse(data)
            if self._fed > self.limits.max_head or len(self.headers) > self.limits.max_fields:
                raise self._too_large()
        except Problem as problem:
            self._refuse(problem)
        except httptools.HttpParserError as error:
            self._stop(error.__context__)

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]  # to no other protocol: it goes on with HTTP
            else:
                return

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._most = self._part
        if self._began is None:
            self._began = self.loop.time()

    def on_headers_complete(self) -> None:
        """The request's turn comes once those before it have been answered."""
        self._require_bounds()
        self._require_plain_framing()
        if self._is_surplus:
            detail = f"{self.limits.max_connections} connections are open"
            raise Problem("too-many-connections", detail, headers={"Retry-After": "1"})
        if len(self.pipeline) >= self.limits.max_pipelined:
            self.cycle.keep_alive = False
            raise _Enough
        super().on_headers_complete()
        self._arriving = self.cycle
        self.headers = []  # a trailer is none of the request's own fields

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._fed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there: from now on it may take as long as it likes."""
        super().on_message_complete()
        self._arriving = self._began = None
        self._fed = 0
        self.url = b""

    def on_response_complete(self) -> None:
        """Read on only when nothing is left to be answered."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def shutdown(self) -> None:
        """Let what has arrived be answered, and wait for no more."""
        if self._arriving is None:
            super().shutdown()
        else:
            headers = {"Retry-After": "1"}
            self._refuse(Problem("shutting-down", "this server is shutting down", headers=headers))

    def _unsupported_upgrade_warning(self) -> None:
        """Nobody who looks at the log has asked for an upgrade."""

    def _require_bounds(self) -> None:
        """Refuse a complete head that is too large; raises `Problem`."""
        most = self.limits.max_head
        if len(self.headers) > self.limits.max_fields:
            raise self._too_large()
        # Counted only where it may be too large.
        if self._most > most and self._size_of_head() > most:
            raise self._too_large()

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_large(self) -> Problem:
        size, fields = self.limits.max_head, self.limits.max_fields
        detail = f"a request line and headers may have {size} bytes in {fields} fields"
        return Problem("headers-too-large", detail, limit=size, fields=fields)

    def _require_plain_framing(self) -> None:
        """Refuse what a proxy in front might read in another way; raises `Problem`."""
        version = self.parser.get_http_version()
        hosts, codings = 0, []
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding":
                codings.append(value.lower())
        if version not in _VERSIONS:
            raise _bad_request("the version is not HTTP/1.1 or 1.0")
        if hosts != 1 and (hosts or version == "1.1"):
            raise _bad_request("there has to be one Host header")
        if codings and (codings != [b"chunked"] or version == "1.0"):
            raise _bad_request("Transfer-Encoding is chunked, once, or not there")

    def _look_at_the_time(self) -> None:
        """Refuse or close when a request has not arrived in time."""
        now = self.loop.time()
        if self._began is not None and self.flow.read_paused:
            self._began = now  # the peer may be ready to send: it is the app that does not read
        since = now if self._began is None else self._began
        left = since + self.limits.receive_within - now
        if left > 0:
            self._timer = self.loop.call_later(left, self._look_at_the_time)
        elif self.url:
            within = f"{self.limits.receive_within:g} s"
            self._refuse(Problem("request-timeout", f"the request did not arrive within {within}"))
        else:
            self.transport.close()

    def _stop(self, reason: BaseException | None) -> None:
        """The parser has stopped, by a callback's exception or by its own."""
        if isinstance(reason, _Enough):
            self._deaf, self._began = True, None
        elif isinstance(reason, Problem):
            self._refuse(reason)
        else:
            self._refuse(_bad_request("the request is not valid HTTP/1.1"))

    def _refuse(self, problem: Problem) -> None:
        """Answer the request that is arriving once those before it are answered, and close."""
        unfinished, self._arriving = self._arriving, None
        self._deaf, self._began = True, None
        latest = cast("RequestResponseCycle | None", self.cycle)
        waits = latest is not None and not latest.response_complete
        if unfinished is not None:
            if unfinished.response_started:
                self.transport.close()
                return
            waits = bool(self.pipeline)
            if waits:
                self.pipeline.popleft()
            unfinished.disconnected = True  # its handler is told that nobody is there
            unfinished.message_event.set()
        scope = self._scope_of_refused()
        self.cycle = self._cycle_of_refused(scope)
        app = cast(Any, refusal(problem, scope))
        if waits:
            self.pipeline.appendleft((self.cycle, app))
        else:
            self._start_asgi_task(self.cycle, app)

    def _scope_of_refused(self) -> dict[str, Any]:
        """A request of which only the method and the path may be known."""
        path = None
        with contextlib.suppress(httptools.HttpParserError):
            path = httptools.parse_url(self.url).path
        return {
            "type": "http",
            "http_version": "1.1",
            "method": self.parser.get_method().decode() if self.url else "GET",
            "path": unquote((path or b"/").decode("ascii")),
            "query_string": b"",
            "root_path": self.root_path,
            "headers": [],
            "client": self.client,
        }

    def _cycle_of_refused(self, scope: Mapping[str, Any]) -> RequestResponseCycle:
        return RequestResponseCycle(
            scope=cast(Any, scope),
            transport=cast(Any, _Lingering(self.transport, self.loop)),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )


def limited(limits: Limits) -> type[Connection]:
    """Connections with these limits."""
    return type("LimitedConnection", (Connection,), {"limits": limits})


class _Lingering:
    """A transport as the last answer needs it: to close is to write no more, and then to wait."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.write_eof()
            self._loop.call_later(LINGER, self._transport.close)


def _bad_request(detail: str) -> Problem:
    return Problem("bad-request", detail)
