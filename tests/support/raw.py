"""HTTP without a client that means well: the bytes of a request, and the bytes of its answer."""

import socket
from contextlib import closing
from urllib.parse import urlsplit

TIMEOUT = 10.0


def connect(url: str) -> socket.socket:
    """A connection to the server at a URL."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT)


def exchange(url: str, request: str | bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to a request, whose lines may end as Python's do."""
    if isinstance(request, str):
        request = request.replace("\n", "\r\n").encode()
    with closing(connect(url)) as connection:
        connection.sendall(request)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the next answer, which the server ends by closing."""
    with connection.makefile("rb") as file:
        answer = file.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body
