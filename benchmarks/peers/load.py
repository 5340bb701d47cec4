"""The load: clients that submit a job and poll it, the same for every system.

It runs in the benchmark's own process, on the processor that servers do not use, and is light: raw
connections that are kept open, requests made once, answers searched and not parsed.

A client polls at once when its job has been taken, then after pauses that double from `FIRST_PAUSE`
to `LONGEST_PAUSE`: kind to slow systems, which would else be asked in vain more often.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

import uvloop

from benchmarks.figures import percentile
from benchmarks.processes import LOAD_CPUS

FIRST_PAUSE: Final = 0.002
LONGEST_PAUSE: Final = 0.064
END_WITHIN: Final = 60.0

T = TypeVar("T")


class Connection(asyncio.Protocol):
    """One connection to a server: a request, its answer, the next request."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._body = 0
        self._end = 0
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none of asyncio's

    async def request(self, request: bytes) -> bytes:
        """The body of the answer; raises `RuntimeError` for any but a 2xx."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """Answer the request when all of its answer is there."""
        self._buffer += data
        if not self._end and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).lower()
            length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
            self._body = end + 4
            self._end = self._body + int(length)
        if not self._end or len(self._buffer) < self._end or self._answer is None:
            return
        if self._buffer[9:10] == b"2":
            self._answer.set_result(bytes(self._buffer[self._body : self._end]))
        else:
            self._answer.set_exception(RuntimeError(self._buffer.decode(errors="replace")))
        self._buffer.clear()
        self._end = 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits for an answer."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server closed the connection"))

    def close(self) -> None:
        """Close it."""
        assert self._transport is not None
        self._transport.close()


@dataclass
class Load:
    """What clients saw: how long each job took from its submission until it was seen done."""

    seconds: list[float] = field(default_factory=list)
    polls: int = 0

    @property
    def jobs(self) -> int:
        """How many jobs were seen done."""
        return len(self.seconds)

    def milliseconds(self, percent: float) -> float:
        """The time that so many percent of the jobs did not exceed."""
        return percentile(self.seconds, percent) * 1e3


def post(body: bytes, *, path: str = "/jobs", prefer: str = "") -> bytes:
    """A request that submits a job."""
    headers = f"Prefer: {prefer}\r\n" if prefer else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"{headers}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def get(path: str, *, prefer: str = "") -> bytes:
    """A request that reads."""
    headers = f"Prefer: {prefer}\r\n" if prefer else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()


def id_of(body: bytes) -> str:
    """The id of the job in an answer."""
    start = body.index(b'"id":"') + 6
    return body[start : body.index(b'"', start)].decode()


NOOP: Final = post(b'{"task":"noop","params":{}}')
WAITING_NOOP: Final = post(b'{"task":"noop","params":{}}', prefer="wait=10")


@contextlib.asynccontextmanager
async def connections(port: int, count: int) -> AsyncIterator[list[Connection]]:
    """So many open connections."""
    loop = asyncio.get_running_loop()
    opened: list[Connection] = []
    try:
        for _ in range(count):
            opened.append((await loop.create_connection(Connection, "127.0.0.1", port))[1])
        yield opened
    finally:
        for connection in opened:
            connection.close()


async def ask(port: int, request: bytes) -> bytes:
    """The body of the answer to one request, on a connection of its own."""
    async with connections(port, 1) as (connection,):
        return await connection.request(request)


async def run_job(connection: Connection, request: bytes, load: Load) -> None:
    """Submit a job and poll it until it is done."""
    began = time.perf_counter()
    body = await connection.request(request)
    poll = b"" if b'"done":true' in body else get(f"/jobs/{id_of(body)}")
    pause = 0.0
    while b'"done":true' not in body:
        if pause:
            await asyncio.sleep(pause)
        body = await connection.request(poll)
        load.polls += 1
        pause = min(2 * pause, LONGEST_PAUSE) or FIRST_PAUSE
        if time.perf_counter() - began > END_WITHIN:
            raise RuntimeError(f"not done after {END_WITHIN} s: {body!r}")
    load.seconds.append(time.perf_counter() - began)


async def clients(
    port: int,
    count: int,
    seconds: float,
    request: bytes = NOOP,
    begin: Callable[[list[Connection]], Awaitable[None]] | None = None,
) -> Load:
    """So many clients, each running one job after another for so long.

    `begin` is awaited when they are connected.
    """
    load = Load()
    end = 0.0

    async def client(connection: Connection) -> None:
        while time.perf_counter() < end:
            await run_job(connection, request, load)

    async with connections(port, count) as opened, asyncio.TaskGroup() as group:
        if begin is not None:
            await begin(opened)
        end = time.perf_counter() + seconds
        for connection in opened:
            group.create_task(client(connection))
    return load


async def steady(port: int, rate: float, seconds: float, request: bytes = NOOP) -> Load:
    """So many jobs a second, submitted on time whether earlier ones are done or not."""
    load = Load()

    async def one(free: list[Connection]) -> None:
        connection = free.pop(0)
        await run_job(connection, request, load)
        free.append(connection)

    began = time.perf_counter()
    async with connections(port, 64) as free, asyncio.TaskGroup() as group:
        for number in range(round(rate * seconds)):
            await asyncio.sleep(began + number / rate - time.perf_counter())
            group.create_task(one(free))
    return load


async def flood(port: int, requests: Iterable[bytes], count: int = 64) -> None:
    """Send the requests over so many connections, each after the answer to the one before."""
    left = iter(requests)

    async def send(connection: Connection) -> None:
        for request in left:
            await connection.request(request)

    async with connections(port, count) as opened, asyncio.TaskGroup() as group:
        for connection in opened:
            group.create_task(send(connection))


def run(load: Coroutine[Any, Any, T]) -> T:
    """Run it on the processors of the load alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, LOAD_CPUS)
    try:
        return uvloop.run(load)
    finally:
        os.sched_setaffinity(0, before)
