"""Clients that neither go on nor go away hold no shutdown up."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.gates import wait_for
from tests.support.raw import connect
from tests.support.server import Server

GRACE = 0.3
TASKS = "tests.support.tasks_for_tests"

JOB = '{"task":"never_end"}'
POST = "POST /jobs HTTP/1.1\r\nHost: awaitd\r\nContent-Type: application/json\r\n"
PAGES = 200


def get(path: str, *headers: str) -> str:
    """The bytes of a request."""
    lines = "".join(f"{header}\r\n" for header in ("Host: awaitd", *headers))
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n"


STUCK: dict[str, Callable[[str], str]] = {
    "nothing sent": lambda job: "",
    "half a request line": lambda job: "GET /jo",
    "half of the headers": lambda job: POST,
    "half a body": lambda job: f"{POST}Content-Length: {len(JOB)}\r\n\r\n{JOB[:5]}",
    "half a chunk": lambda job: f"{POST}Transfer-Encoding: chunked\r\n\r\n100\r\n{{",
    "waits for a job": lambda job: get(job, "Prefer: wait=50"),
    "waits for a result": lambda job: get(f"{job}/result", "Prefer: wait=50"),
    "waits for its submission": lambda job: (
        f"{POST}Prefer: wait=50\r\nContent-Length: {len(JOB)}\r\n\r\n{JOB}"
    ),
    "waits for a cancel": lambda job: get(job, "Prefer: wait=50").replace("GET", "DELETE", 1),
    "streams a job": lambda job: get(f"{job}/events"),
    "streams all jobs": lambda job: get("/events"),
    "reads nothing": lambda job: get("/openapi.json") * PAGES,
}
"""What a client sends before it gets stuck, from the path of a job that ignores its cancel."""


@contextmanager
def stuck(server: Server, path: str) -> Iterator[dict[str, socket.socket]]:
    """Some clients of each kind."""
    with ExitStack() as stack:
        clients = {}
        for name, request in STUCK.items():
            for _ in range(3):
                clients[name] = stack.enter_context(connect(server.url))
                clients[name].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                clients[name].setblocking(False)
                clients[name].send(request(path).encode())
        yield clients


@pytest.mark.parametrize("blocked", [False, True])
def test_stuck_connections_do_not_hold_it_up(
    start_server: Callable[..., Server], tmp_path: Path, blocked: bool
) -> None:
    """Whatever hangs on open connections, with or without a blocked loop, it ends in time."""
    server = start_server(
        AWAITD_TASKS=TASKS,
        AWAITD_SHUTDOWN_GRACE=str(GRACE),
        AWAITD_CANCEL_GRACE=str(GRACE),
    )
    job = server.submit("ignore_cancel", path=str(tmp_path / "never"))
    with stuck(server, job["links"]["self"]):
        while server.client.get(job["links"]["self"]).json()["cancel_requested_at"] is None:
            pass  # all before it were received
        if blocked:
            server.submit("spin", seconds=60, path=str(tmp_path / "blocked"))
            (tmp_path / "blocked.go").touch()
            wait_for(tmp_path / "blocked")
        assert server.terminate() in (0, 1)  # within 20 s; 1 if it had to be cut short
    server.start()
    after = server.job(job["id"])
    assert (after["status"], after["attempt"]) == ("cancelled", 1)
