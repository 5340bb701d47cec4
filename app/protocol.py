"""HTTP/1.1 connections: uvicorn's protocol, with bounds on what a peer may send and how slowly."""

import asyncio
import contextlib
import math
from typing import Any, ClassVar, cast
from urllib.parse import unquote

import httptools
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.api.errors import refusal
from app.api.problems import Problem
from app.api.replies import FIELDS, WHOLE, Field
from app.cycle import Answering, Cycle, Lingering, scope_of_refused
from app.framing import KEEPERS, bad_request, is_passed_on, require_plain_framing
from app.limits import Limits
from app.outbox import Outbox


class _Enough(Exception):
    """Raised inside the parser to stop it."""


class Connection(Answering):
    """One connection. A request that breaks a limit or is no HTTP gets a problem, and is the last.

    How long an answer takes is not limited. It speaks no other protocol: no upgrade is taken.
    """

    # With these among uvicorn's attributes each connection would need a larger dict of its own.
    __slots__ = (
        "_arriving",
        "_asgi",
        "_began",
        "_deaf",
        "_direct_app",
        "_fed",
        "_idle_since",
        "_is_surplus",
        "_limits",
        "_most",
        "_part",
        "_timer",
    )

    limits: ClassVar = Limits()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        super().connection_made(cast(asyncio.Transport, transport))
        self.url, self.headers = b"", []
        self._limits = self.limits
        self._asgi = {"version": self.asgi_version, "spec_version": "2.3"}
        proxied = isinstance(self.app, ProxyHeadersMiddleware)
        self._direct_app = self.app.app if proxied else self.app
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
        self._idle_since = 0.0
        """When the last answer was complete."""
        self._timer = self._look_again_in(self._limits.receive_within)
        surplus = len(self.connections) - self._limits.max_connections
        self._is_surplus = surplus > 0
        if surplus > self._limits.spare_connections:
            self.transport.abort()

    def eof_received(self) -> None:
        """The peer sends no more, upon which the connection is closed: it gets what is ready."""
        self.outbox.send()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._timer.cancel()
        super().connection_lost(exc)
        self.cycle = cast(Any, None)  # which leads back here: no garbage is to be left

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        if self._deaf:
            return
        if self._began is None:
            self._began = self.loop.time()
        size = self._part = len(data)
        self._most += size
        self._fed += size
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as upgrade:
                    data = data[upgrade.args[0] :]  # to no other protocol: it goes on with HTTP
            if self._fed > self._limits.max_head or len(self.headers) > self._limits.max_fields:
                raise self._too_large()
        except Problem as problem:
            self._refuse(problem)
        except httptools.HttpParserError as error:
            self._stop(error.__context__)

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._most = self._part
        if self._began is None:
            self._began = self.loop.time()

    def on_headers_complete(self) -> None:
        """The request's turn comes once those before it have been answered."""
        headers, is_kept = self.headers, self.parser.should_keep_alive()
        by_name = dict(headers)
        is_plain = is_kept and KEEPERS.isdisjoint(by_name)  # the parser takes long to say which
        version = "1.1" if is_plain else self.parser.get_http_version()
        most = self._limits.max_head
        # The size is counted only where it may be too large.
        is_large = self._most > most and self._size_of_head() > most
        if is_large or len(headers) > self._limits.max_fields:
            raise self._too_large()
        require_plain_framing(version, headers, by_name)
        if self._is_surplus:
            detail = f"{self._limits.max_connections} connections are open"
            raise Problem("too-many-connections", detail, headers={"Retry-After": "1"})
        if len(self.pipeline) >= self._limits.max_pipelined:
            self.cycle.keep_alive = False
            raise _Enough
        before = cast("Cycle | None", self.cycle)
        cycle = self.cycle = self._arriving = self._new_cycle(version, headers, by_name)
        cycle.keep_alive = is_kept and version != "1.0"
        app = self.app if is_passed_on(by_name) else self._direct_app
        self.headers = []  # a trailer is none of the request's own fields
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Answer a request, in a task that lets go of itself, unless it never begins."""
        name = "awaitd-request"
        self.tasks.add(asyncio.Task(cycle.run_asgi(app), loop=self.loop, name=name))

    def _new_cycle(self, version: str, headers: list[Field], by_name: dict[bytes, bytes]) -> Cycle:
        url, root = httptools.parse_url(self.url), self.root_path
        path = url.path.decode("ascii")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": self._asgi,
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": self.parser.get_method().decode("ascii"),
            "root_path": root,
            "path": root + (unquote(path) if "%" in path else path),
            "raw_path": root.encode("ascii") + url.path if root else url.path,
            "query_string": url.query or b"",
            "headers": headers,
            "state": self.app_state.copy(),
        }
        cycle = Cycle(self, scope, self.transport)
        cycle.waiting_for_100_continue = self.expect_100_continue and version != "1.0"
        scope[WHOLE] = cycle.send_whole
        if len(by_name) == len(headers):
            scope[FIELDS] = by_name
        return cycle

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._fed = 0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is there: from now on it may take as long as it likes."""
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()
        self._arriving = self._began = None
        self._fed = 0
        self.url = b""

    def on_response_complete(self) -> None:
        """Answer what came after it, and read on only when nothing is left to be answered."""
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        if not self.pipeline and self.flow.read_paused:
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """Let what has arrived be answered, and wait for no more."""
        self.outbox.send()
        if self._arriving is None:
            super().shutdown()
        else:
            headers = {"Retry-After": "1"}
            self._refuse(Problem("shutting-down", "this server is shutting down", headers=headers))

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_large(self) -> Problem:
        size, fields = self._limits.max_head, self._limits.max_fields
        detail = f"a request line and headers may have {size} bytes in {fields} fields"
        return Problem("headers-too-large", detail, limit=size, fields=fields)

    def _look_at_the_time(self) -> None:
        """Refuse or close when a request has not arrived in time, or none has begun to."""
        self.outbox.send()
        now = self.loop.time()
        if self._began is not None and self.flow.read_paused:
            self._began = now  # the peer may be ready to send: it is the app that does not read
        left = self._until() - now
        if left > 0:
            self._timer = self._look_again_in(left)
        elif self.url:
            within = f"{self._limits.receive_within:g} s"
            self._refuse(Problem("request-timeout", f"the request did not arrive within {within}"))
        else:
            self.transport.close()

    def _look_again_in(self, seconds: float) -> asyncio.TimerHandle:
        """Soon enough for any time that may begin to run meanwhile."""
        within = min(seconds, self.timeout_keep_alive, self._limits.receive_within)
        return self.loop.call_later(within, self._look_at_the_time)

    def _until(self) -> float:
        """When the connection ends if nothing happens."""
        if self._began is not None:
            return self._began + self._limits.receive_within
        latest = cast("Cycle | None", self.cycle)
        if latest is not None and latest.response_complete:
            return self._idle_since + self.timeout_keep_alive
        return math.inf

    def _stop(self, reason: BaseException | None) -> None:
        """The parser has stopped, by a callback's exception or by its own."""
        if isinstance(reason, _Enough):
            self._deaf, self._began = True, None
        elif isinstance(reason, Problem):
            self._refuse(reason)
        else:
            self._refuse(bad_request("the request is not valid HTTP/1.1"))

    def _refuse(self, problem: Problem) -> None:
        """Answer the request that is arriving once those before it are answered, and close."""
        self.outbox.send()
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
        method, path = self.parser.get_method() if self.url else b"GET", None
        with contextlib.suppress(httptools.HttpParserError):
            path = httptools.parse_url(self.url).path
        scope = scope_of_refused(method, path, self.root_path, self.client)
        self.cycle = Cycle(self, scope, Lingering(self.transport, self.loop))
        app = cast(Any, refusal(problem, scope))
        if waits:
            self.pipeline.appendleft((self.cycle, app))
        else:
            self._start_asgi_task(self.cycle, app)


def limited(limits: Limits) -> type[Connection]:
    """The connections of a server, with these limits."""
    return type("LimitedConnection", (Connection,), {"limits": limits, "outbox": Outbox()})
