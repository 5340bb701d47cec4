import asyncio
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import uvloop

from app.serving import UNREAD_WITHIN, bound_socket, doubled
from app.settings import Settings
from tests.support.raw import connect
from tests.support.server import Server

GET = b"GET /livez HTTP/1.1\r\nHost: awaitd\r\n\r\n"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    """A server that may have 200 files open, once it has asked for them."""
    server = Server(tmp_path)
    server.inside = ("sh", "-c", 'ulimit -Sn 120; ulimit -Hn 200; exec "$@"', "sh")
    with server:
        server.client.close()  # it holds no connection
        yield server


def status_of(connection: socket.socket) -> str:
    """The status of the answer to a request; empty when the connection has been closed."""
    try:
        connection.sendall(GET)
        return connection.recv(100).decode()[9:12]
    except ConnectionError:
        return ""


def test_connections_leave_files_for_the_rest(small: Server) -> None:
    """Half of the open files are for connections, a few more are told no, the rest is closed."""
    with ExitStack() as stack:
        peers = [stack.enter_context(closing(connect(small.url))) for _ in range(300)]
        assert Counter(map(status_of, peers)) == {"200": 100, "503": 64, "": 136}
    assert "ERROR" not in small.log


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts how long data lies unread")
def test_the_kernel_counts_how_long_a_peer_reads_nothing() -> None:
    """Every connection that is accepted ends when what it is sent lies unread for too long."""
    with bound_socket(Settings(port=0)) as listener:
        listener.listen()
        with (
            closing(socket.create_connection(listener.getsockname())),
            closing(listener.accept()[0]) as connection,
        ):
            found = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert found == UNREAD_WITHIN * 1000


def test_connections_that_come_at_once_are_taken_up_together() -> None:
    """A busy event loop needs a few turns for them, not one for each."""
    with bound_socket(Settings(port=0)) as listener, ExitStack() as stack:
        listener.listen(64)
        where = listener.getsockname()
        for _ in range(64):
            stack.enter_context(closing(socket.create_connection(where)))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(turns_to_accept(listener, 64)) < 10


async def turns_to_accept(listener: socket.socket, count: int) -> int:
    """How often the event loop goes round until so many connections are made; it closes them."""
    loop, made, turns = asyncio.get_running_loop(), [], 0

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(self)
            transport.close()

    servers = [await loop.create_server(Connection, sock=each) for each in doubled(listener)]
    while len(made) < count:
        await asyncio.sleep(0)
        turns += 1
    for server in servers:
        server.close()
        await server.wait_closed()
    return turns
