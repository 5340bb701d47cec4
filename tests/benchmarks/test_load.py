import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from benchmarks.peers.load import NOOP, Load, ask, clients, connections, flood, get, run_job, steady


class Jobs:
    """A service whose jobs are done at a given poll; it answers byte for byte, if it should."""

    def __init__(
        self, *, done_at: int = 1, in_pieces: bool = False, status: str = "200 OK"
    ) -> None:
        self.done_at = done_at
        self.in_pieces = in_pieces
        self.status = status
        self.requests: list[bytes] = []
        self.polls: dict[bytes, int] = {}

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        ended: list[asyncio.Task[None]] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            ended.append(task)
            with contextlib.suppress(asyncio.IncompleteReadError), contextlib.closing(writer):
                while True:
                    await self._serve(reader, writer)

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*ended)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, _, headers = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        length = headers.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        self.requests.append(line)
        body = self._answer(line.split()[1])
        answer = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        for piece in [bytes([byte]) for byte in answer] if self.in_pieces else [answer]:
            writer.write(piece)
            await writer.drain()

    def _answer(self, path: bytes) -> str:
        if path == b"/jobs":
            return f'{{"id":"{len(self.requests)}","done":false}}'
        self.polls[path] = self.polls.get(path, 0) + 1
        return f'{{"done":{"true" if self.polls[path] == self.done_at else "false"}}}'


@pytest.mark.parametrize("in_pieces", [False, True])
async def test_a_job_is_polled_until_it_is_done(in_pieces: bool) -> None:
    """At its own address, as often as it takes, however the answers arrive."""
    jobs = Jobs(done_at=3, in_pieces=in_pieces)
    load = Load()
    async with jobs.serving() as port, connections(port, 1) as (connection,):
        await run_job(connection, NOOP, load)
        await run_job(connection, NOOP, load)
    assert load.jobs == 2
    assert load.polls == 6
    assert jobs.polls == {b"/jobs/1": 3, b"/jobs/5": 3}


async def test_every_client_runs_its_jobs() -> None:
    """All that were begun are counted, and `begin` comes before them."""
    jobs = Jobs()
    seen: list[int] = []

    async def begin(opened: object) -> None:
        seen.append(len(jobs.requests))

    async with jobs.serving() as port:
        load = await clients(port, 4, 0.05, NOOP, begin)
    assert seen == [0]
    assert load.jobs == load.polls == len(jobs.polls) >= 4
    assert load.milliseconds(50) <= load.milliseconds(99)


async def test_a_steady_load_submits_as_many_jobs_as_it_says() -> None:
    """Its rate times its seconds."""
    jobs = Jobs()
    async with jobs.serving() as port:
        load = await steady(port, 200, 0.1)
    assert load.jobs == 20


async def test_a_flood_sends_every_request_once() -> None:
    """Over all connections together."""
    jobs = Jobs()
    async with jobs.serving() as port:
        await flood(port, (get(f"/jobs/{number}") for number in range(30)), count=4)
    assert jobs.polls == {b"/jobs/%d" % number: 1 for number in range(30)}


async def test_an_error_ends_the_load() -> None:
    """A figure never comes from answers that are none."""
    async with Jobs(status="500 Oops").serving() as port:
        with pytest.raises(RuntimeError, match="500 Oops"):
            await ask(port, NOOP)
