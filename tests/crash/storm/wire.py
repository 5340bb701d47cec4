"""A connection that sends one request after the other, and notes when."""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

Gone: Final = (OSError, EOFError, asyncio.IncompleteReadError)
"""What a request raises when the server has ended."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the instants are those of the monotonic clock, in nanoseconds."""

    asked: int
    at: int
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request_bytes(
    method: str, path: str, body: Mapping[str, Any] | None = None, /, **headers: str
) -> bytes:
    """The bytes of a request; underscores in the names of headers stand for hyphens."""
    content = b"" if body is None else json.dumps(body).encode()
    if body is not None:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    head = f"{method} {path} HTTP/1.1\r\nHost: awaitd\r\n{''.join(lines)}\r\n"
    return head.encode() + content


def head_of(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers, the names in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines if line)
    return int(first.split()[1]), {name.lower(): value for name, value in pairs}


class Wire:
    """One connection, opened with the first request and again after an end of the server."""

    def __init__(self, url: str = "") -> None:
        self._url = url
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def move(self, url: str) -> None:
        """Talk to this server from now on."""
        await self.close()
        self._url = url

    async def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            writer, self._streams = self._streams[1], None
            writer.close()
            with suppress(*Gone):
                await writer.wait_closed()

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, /, **headers: str
    ) -> Answer:
        """Send a request and read its answer; raises one of `Gone` when the server has ended."""
        if self._streams is None:
            parts = urlsplit(self._url)
            self._streams = await asyncio.open_connection(parts.hostname, parts.port)
        reader, writer = self._streams
        asked = time.monotonic_ns()
        writer.write(request_bytes(method, path, body, **headers))
        status, fields = head_of(await reader.readuntil(b"\r\n\r\n"))
        content = await reader.readexactly(int(fields.get("content-length", 0)))
        assert status < 500 or status == 503, f"{method} {path}: {status} {content!r}"
        return Answer(asked, time.monotonic_ns(), status, fields, content)
