"""Servers on loopback, and the names and policies to reach them by."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from app.outbound import OutboundPolicy, outbound_policy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
SILENCE = b""


def redirect(location: str) -> bytes:
    """The answer that sends a client elsewhere."""
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@dataclass(slots=True)
class Loopback:
    """Answers each path with the bytes it is given; remembers the requests it got."""

    port: int = 0
    answers: dict[str, bytes] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    visitors: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if visitor := asyncio.current_task():
            self.visitors.add(visitor)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self.answer(reader, writer)
        writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        length = head.lower().partition("content-length: ")[2].partition("\r")[0]
        self.bodies.append(await reader.readexactly(int(length or 0)))
        writer.write(self.answers.get(head.split(" ")[1], OK))
        await writer.drain()


@asynccontextmanager
async def listening(host: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Loopback]:
    """A loopback server on a free port."""
    server = Loopback()
    async with await asyncio.start_server(server.serve, host, 0, ssl=tls) as listener:
        server.port = listener.sockets[0].getsockname()[1]
        yield server
    await asyncio.gather(*server.visitors)


@contextmanager
def allowing(listed: str) -> Iterator[None]:
    """Lets these hosts and networks through for a while."""
    token = outbound_policy.set(OutboundPolicy.parse(listed))
    try:
        yield
    finally:
        outbound_policy.reset(token)


class FakeNames:
    """A resolver that gives each name its answers in turn, and the last one for ever.

    Any other host is taken for an address.
    """

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {f"{name}.test": rounds for name, rounds in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        rounds = self.answers.get(host, [[host]])
        return rounds.pop(0) if len(rounds) > 1 else rounds[0]
