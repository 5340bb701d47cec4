"""Connections of ours on the test's own event loop, whose clock may be a virtual one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from app.limits import Limits
from app.protocol import limited

App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass
class Listener:
    """An app that is served, and how to reach it."""

    address: tuple[str, int]
    state: ServerState

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["Peer"]:
        """A client's connection."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            yield Peer(reader, writer)
        finally:
            writer.close()


@dataclass
class Peer:
    """The client's end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.writer.write(data)

    async def rest(self) -> bytes:
        """All that comes until the other end closes."""
        return await self.reader.read()

    async def answer(self) -> bytes:
        """The next answer, as far as its length is known."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].split()[0]
        return head + await self.reader.readexactly(int(length))

    async def drip(self, data: bytes, every: float) -> None:
        """Send a byte every few seconds."""
        for byte in data:
            self.send(bytes([byte]))
            await asyncio.sleep(every)


@dataclass
class Recorder:
    """An app that answers with the method, the path and the body it got, when `go` is set."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    scopes: list[dict[str, Any]] = field(default_factory=list)
    disconnects: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        self.scopes.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                return
            body += message["body"]
            more = message["more_body"]
        await self.go.wait()
        text = f"{scope['method']} {scope['path']} ".encode() + body
        length = str(len(text)).encode()
        headers = [(b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until something is so."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come to it")


@asynccontextmanager
async def listening(app: App, **limits: Any) -> AsyncIterator[Listener]:
    """The app behind connections with these limits."""
    kind = limited(Limits(**limits))
    config = uvicorn.Config(
        app, http=kind, lifespan="off", access_log=False, log_config=None, ws="none"
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()

    def connection() -> asyncio.Protocol:
        return kind(config=config, server_state=state, app_state={}, _loop=loop)

    server = await loop.create_server(connection, "127.0.0.1", 0)
    try:
        yield Listener(server.sockets[0].getsockname(), state)
    finally:
        server.close()
        for task in state.tasks:
            task.cancel()
        for open_one in state.connections:  # a task that never began leaves its connection open
            open_one.transport.close()
