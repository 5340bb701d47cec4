"""A door before a server: it can be shut, drop what passes, or answer in the server's place."""

import socket
import threading
from collections import deque
from contextlib import closing, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

DROP = b""
"""In the place of an answer: nothing, once the request is in; the server does not see it."""

LOSE = b"lose"
"""In the place of an answer: the server gets the request, its answer is lost."""


@dataclass
class Relay:
    """Connections to `url` go on to `target`, while it runs; each takes the next of `answers`."""

    target: str = ""
    """The URL of the server; empty while there is none."""
    answers: deque[bytes] = field(default_factory=deque)
    requests: list[bytes] = field(default_factory=list)
    """The first bytes of each request that a connection began with."""

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break every connection there is."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            self._keep(connection)
            first = connection.recv(1 << 16)
            self.requests.append(first)
            answer = self.answers.popleft() if self.answers and first else None
            if answer not in (None, LOSE):
                connection.sendall(answer or b"")
            elif self.target:
                self._pass_on(connection, first, loses=answer == LOSE)

    def _pass_on(self, connection: socket.socket, first: bytes, *, loses: bool) -> None:
        parts = urlsplit(self.target)
        with socket.create_connection((parts.hostname, parts.port)) as server:
            self._keep(server)
            server.sendall(first)
            there = threading.Thread(target=_pump, args=(connection, server), daemon=True)
            there.start()
            if loses:
                server.recv(1)  # so it has done what was asked for
            else:
                _pump(server, connection)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            there.join()

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(1 << 16):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def response(status: str, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of an answer; the underscores in names of headers are hyphens."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines])
    return f"{head}\r\nConnection: close\r\n\r\n".encode() + body
