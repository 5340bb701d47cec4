import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from app.serving import UNREAD_WITHIN, bound_socket
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
