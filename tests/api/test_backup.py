import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.support.command import run
from tests.support.raw import connect
from tests.support.server import ROOT, Server


def open_files(server: Server) -> list[str]:
    """What a server has open in its data directory, deleted files included."""
    assert server.process is not None
    folder = Path(f"/proc/{server.process.pid}/fd")
    names = []
    for link in folder.iterdir():
        try:
            names.append(os.readlink(link))
        except FileNotFoundError:
            continue
    return [name for name in names if str(server.folder / "data") in name]


def until_closed(server: Server) -> None:
    """Return when the server has no backup open."""
    end = time.monotonic() + 20
    while any("backup" in name for name in open_files(server)):
        assert time.monotonic() < end, open_files(server)
        time.sleep(0.01)


@pytest.mark.parametrize("server", ["embedded"], indirect=True)
def test_it_is_a_database_of_the_jobs(server: Server, tmp_path: Path) -> None:
    """The answer is an SQLite file for download that has what was acknowledged before."""
    job = server.submit("echo", value="kept", headers={"Prefer": "wait=10"})
    answer = server.client.get("/backup")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.sqlite3"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["cache-control"] == "no-store"
    disposition = answer.headers["content-disposition"]
    assert re.fullmatch(r'attachment; filename="awaitd-\d{8}T\d{6}Z\.sqlite3"', disposition)
    file = tmp_path / "copy"
    file.write_bytes(answer.content)
    with closing(sqlite3.connect(file)) as db:
        high = int(job["id"].replace("-", "")[:16], 16)
        [(result,)] = db.execute("SELECT result FROM jobs WHERE high = ?", (high,)).fetchall()
    assert result == b'"kept"'
    until_closed(server)


def test_it_takes_no_parameters(client: httpx.Client) -> None:
    """An unknown parameter is refused before anything is copied."""
    answer = client.get("/backup?since=1")
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-parameter")


@pytest.mark.parametrize("server", ["postgres"], indirect=True)
def test_a_database_has_tools_of_its_own(server: Server, tmp_path: Path) -> None:
    """With PostgreSQL there is no journal to copy, and the message says what to do instead."""
    answer = server.client.get("/backup")
    assert (answer.status_code, answer.json()["type"]) == (501, "/problems/no-backup")
    done = run("backup", "copy", folder=tmp_path, AWAITD_URL=server.url)
    assert done.returncode == 1
    assert "pg_dump" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("server", ["embedded"], indirect=True)
def test_head_is_get_without_a_body(server: Server) -> None:
    """HEAD has the headers of GET, and leaves nothing open."""
    answer = server.client.head("/backup")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0
    until_closed(server)


def stuck(server: Server) -> socket.socket:
    """A client that takes the beginning of a backup and no more."""
    client = connect(server.url)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.sendall(b"GET /backup HTTP/1.1\r\nHost: awaitd\r\n\r\n")
    assert client.recv(15) == b"HTTP/1.1 200 OK"
    return client


def test_a_client_that_goes_away_frees_it(start_server: Callable[..., Server]) -> None:
    """When nobody takes the copy any more, it is closed, and its room is free again."""
    # A connection that is stuck at the end is left to the system.
    server = start_server(expects="TCPTransport|__uv_walk_close_all_handles_cb")
    for _ in range(20):
        server.submit("echo", value="x" * 900_000)
    with closing(stuck(server)):
        assert any("backup" in name for name in open_files(server))
        server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    until_closed(server)
    assert "Traceback" not in server.log
    with closing(stuck(server)):  # nor does one that stays hold up the end
        assert server.terminate() == 0
    assert not [path for path in (server.folder / "data").iterdir() if "backup" in path.name]


ON_A_SMALL_DISK = """
import subprocess, sys
folder, *command = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "none", folder], check=True)
sys.exit(subprocess.call(command))
"""

FILL_AND_ASK = """
import shutil, sys
from pathlib import Path
from tests.support.server import Server

with Server(Path(sys.argv[1])) as server:
    while shutil.disk_usage(sys.argv[1]).free > 3_000_000:
        server.submit("echo", value="x" * 200_000, headers={"Prefer": "wait=10"})
    answer = server.client.get("/backup")
    assert answer.status_code == 503, answer
    assert answer.headers["retry-after"]
    assert answer.json()["type"] == "/problems/store-unavailable"
    assert "bytes in the data directory" in answer.json()["detail"]
    data = {path.name for path in (Path(sys.argv[1]) / "data").iterdir()}
    assert not [name for name in data if "backup" in name], data
    assert server.client.get("/readyz").status_code == 200
    server.submit("echo", value=1)
    print("it was refused")
"""


def has_room_to_itself() -> bool:
    """Whether this user may mount a disk where nobody else sees it."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_room_to_itself(), reason="the system lets nobody mount a disk")
def test_a_disk_without_room(tmp_path: Path) -> None:
    """Where there is no room for a copy, the answer says what to do, and the jobs go on."""
    ask = [sys.executable, "-c", FILL_AND_ASK, str(tmp_path)]
    ended = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path), *ask],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.stdout == "it was refused\n", ended.stderr
