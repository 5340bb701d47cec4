"""A process of its own that kills a server at the first byte of an answer."""

import multiprocessing
import os
import signal
import socket
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Shot:
    """What the server had sent when it died, and from when to when it may have died."""

    asked: int
    received: bytes
    begun: int
    over: int


class Sniper:
    """Nothing else runs in the process, so that hardly anything can come between byte and kill."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_shoot_all, args=(other,), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    def shoot(self, pid: int, url: str, request: bytes) -> Shot:
        """Send a request, and kill the server with the first byte of the answer; blocks."""
        self._connection.send((pid, url, request))
        assert self._connection.poll(TIMEOUT), "the sniper does not answer"
        shot = self._connection.recv()
        assert isinstance(shot, Shot)
        return shot


def _shoot_all(connection: Connection) -> None:
    while True:
        pid, url, request = connection.recv()
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT) as wire:
            asked = time.monotonic_ns()
            wire.sendall(request)
            received = wire.recv(1)
            begun = time.monotonic_ns()
            os.kill(pid, signal.SIGKILL)
            received += _rest(wire)
        connection.send(Shot(asked, received, begun, time.monotonic_ns()))


def _rest(wire: socket.socket) -> bytes:
    """What had left the server before the kill."""
    received = b""
    try:
        while part := wire.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received
