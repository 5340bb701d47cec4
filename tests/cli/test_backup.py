import fcntl
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.commands import cli
from tests.support.command import run
from tests.support.server import Server, environment


def backup(file: Path | str, **settings: str) -> Result:
    """The command, with these settings and no others."""
    unset: dict[str, str | None] = dict.fromkeys(
        ("AWAITD_URL", "AWAITD_HOST", "AWAITD_PORT", "AWAITD_API_KEY")
    )
    return CliRunner().invoke(cli, ["backup", str(file)], env={**unset, **settings})


class Fake(threading.Thread):
    """A server that gives its answers one after the other, and keeps what it was asked."""

    def __init__(self, listener: socket.socket, *answers: bytes) -> None:
        super().__init__()
        self.asked: list[bytes] = []
        self._listener, self._answers = listener, answers

    def run(self) -> None:
        for answer in self._answers:
            connection, _ = self._listener.accept()
            with closing(connection):
                self.asked.append(connection.recv(65_536))
                connection.sendall(answer)


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, Fake]]:
    """Where a server gives these answers, one to each request, when it has said that it lives."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fake = Fake(listener, response(b"200 OK", b"{}"), *answers)
        fake.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", fake
        fake.join()


def response(status: bytes, body: bytes, length: int | None = None) -> bytes:
    """The bytes of an answer, which may promise more than it holds."""
    length = len(body) if length is None else length
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, length, body)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a database of a few pages."""
    path = tmp_path_factory.mktemp("database") / "database"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (a)")
        db.execute("INSERT INTO t VALUES (zeroblob(300000))")
        db.commit()
    return path.read_bytes()


def left_in(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_backup_and_restore(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """What the command wrote, put in place of the journal as it says, is the state of then."""
    server = start_server()
    kept = server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    result = backup(tmp_path / "copy", AWAITD_URL=server.url + "/")
    size = (tmp_path / "copy").stat().st_size
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"awaitd: {tmp_path / 'copy'} has {size} bytes\n"
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    assert not (tmp_path / "copy.part").exists()
    lost = server.submit("echo", value=2, headers={"Prefer": "wait=10"})
    server.kill()
    data = tmp_path / "data"
    for ending in ("-wal", "-shm"):
        (data / f"journal.sqlite3{ending}").unlink()
    (tmp_path / "copy").rename(data / "journal.sqlite3")
    server.start()
    assert server.job(kept["id"]) == kept
    assert server.client.get(f"/jobs/{lost['id']}").status_code == 404
    assert server.submit("echo", value=3, headers={"Prefer": "wait=10"})["result"] == 3


def test_forgotten_log(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """A backup put beside the log of the journal before is refused with the commands to use."""
    server = start_server()
    backup(tmp_path / "copy", AWAITD_URL=server.url)
    server.submit("echo", value=2, headers={"Prefer": "wait=10"})
    server.kill()
    file = tmp_path / "data" / "journal.sqlite3"
    (tmp_path / "copy").rename(file)
    ended = run("serve", folder=tmp_path, AWAITD_DATA_DIR=str(tmp_path / "data"))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(f"awaitd: {file} is damaged, or no journal (it is a backup, ")
    assert f"rm -f {file}-wal {file}-shm && install -m 600 BACKUP {file}" in ended.stderr


def test_it_overwrites_nothing(server: Server, tmp_path: Path) -> None:
    """A file that is there is left as it is, a dangling link too: exit 2."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        result = backup(tmp_path / name, AWAITD_URL=server.url)
        assert result.exit_code == 2
        assert f"{tmp_path / name} is there already" in result.stderr
    assert (tmp_path / "file").read_text() == "mine"
    assert left_in(tmp_path) == ["file", "link"]


def test_no_such_directory_is_2(server: Server, tmp_path: Path) -> None:
    """A file in a directory that is not there is exit 2, and so is none at all."""
    result = backup(tmp_path / "no" / "copy", AWAITD_URL=server.url)
    assert result.exit_code == 2
    assert f"there is no directory {tmp_path / 'no'}" in result.stderr
    assert CliRunner().invoke(cli, ["backup"]).exit_code == 2


def test_what_an_earlier_run_left(server: Server, tmp_path: Path) -> None:
    """The part that a killed run has left is in nobody's way; one that is being written is."""
    part = tmp_path / "copy.part"
    part.write_bytes(b"x" * 1_000_000)
    part.chmod(0o644)
    result = backup(tmp_path / "copy", AWAITD_URL=server.url)
    assert (result.exit_code, left_in(tmp_path)) == (0, ["copy"])
    assert f"has {(tmp_path / 'copy').stat().st_size} bytes" in result.stderr
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    with closing(sqlite3.connect(tmp_path / "copy")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_two_at_once(server: Server, tmp_path: Path) -> None:
    """Two runs for one file do not write into each other's part."""
    part = tmp_path / "copy.part"
    with part.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        result = backup(tmp_path / "copy", AWAITD_URL=server.url)
    assert (result.exit_code, left_in(tmp_path)) == (1, ["copy.part"])
    assert "another backup is being written" in result.stderr
    assert part.read_bytes() == b""


def test_what_the_server_says(tmp_path: Path) -> None:
    """A refusal is exit 1 with the detail of the problem, or the status of what is none."""
    detail = b'{"type": "/problems/store-unavailable", "detail": "make room there"}'
    for status, body, said in (
        (b"503 Service Unavailable", detail, "make room there"),
        (b"404 Not Found", b"<html>", "it answered 404"),
        (b"500 Internal Server Error", b"[]", "it answered 500"),
    ):
        with answering(response(status, body)) as (url, _):
            result = backup(tmp_path / "copy", AWAITD_URL=url)
        assert (result.exit_code, result.stderr) == (1, f"awaitd: no backup: {said}\n")
        assert left_in(tmp_path) == []


@pytest.mark.parametrize("case", ["cut off", "nothing", "another size", "no database", "no length"])
def test_only_a_whole_backup_gets_its_name(tmp_path: Path, database: bytes, case: str) -> None:
    """What is not all there, or no database, is exit 1 and leaves nothing behind."""
    answer = {
        "cut off": response(b"200 OK", database[:-1], len(database)),
        "nothing": response(b"200 OK", b"", len(database)),
        "another size": response(b"200 OK", database[:-4096]),
        "no database": response(b"200 OK", b"<html>" * 100),
        "no length": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + database[:-4096],
    }[case]
    with answering(answer) as (url, _):
        result = backup(tmp_path / "copy", AWAITD_URL=url)
    assert result.exit_code == 1
    assert result.stderr.startswith("awaitd: no backup: ")
    assert left_in(tmp_path) == []


def test_a_full_disk(tmp_path: Path, database: bytes) -> None:
    """A file that cannot grow is exit 1, says why and leaves nothing behind."""
    code = (
        "import resource, signal, sys; from app.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "sys.argv = ['awaitd', 'backup', 'copy']; main()"
    )
    with answering(response(b"200 OK", database)) as (url, _):
        ended = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment(AWAITD_URL=url, PYTHONDONTWRITEBYTECODE="1"),
            capture_output=True,
            text=True,
        )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "awaitd: no backup: [Errno 27] File too large" in ended.stderr
    assert left_in(tmp_path) == []


def test_the_key_is_sent(tmp_path: Path, database: bytes) -> None:
    """AWAITD_API_KEY goes along; one that no header can hold is exit 2."""
    with answering(response(b"200 OK", database)) as (url, fake):
        assert backup(tmp_path / "copy", AWAITD_URL=url, AWAITD_API_KEY="s3cret").exit_code == 0
    assert b"\r\nAuthorization: Bearer s3cret\r\n" in fake.asked[1]
    with answering() as (url, _):
        result = backup(tmp_path / "other", AWAITD_URL=url, AWAITD_API_KEY="a\nb")
    assert result.exit_code == 2
    assert "AWAITD_API_KEY" in result.stderr


@pytest.mark.parametrize("there", ["nobody", "silence", "nonsense", "no URL"])
def test_not_there_is_5_within_3_seconds(tmp_path: Path, there: str) -> None:
    """Where no server answers is exit 5, in time and with nothing written."""
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if there == "nobody":
            listener.close()
        elif there == "nonsense":
            Fake(listener, b"SSH-2.0\r\n").start()
        url = "http://[" if there == "no URL" else f"http://127.0.0.1:{port}"
        result = backup(tmp_path / "copy", AWAITD_URL=url)
    assert (result.exit_code, result.stdout) == (5, "")
    assert f"cannot reach {url}" in result.stderr
    assert left_in(tmp_path) == []
    assert time.monotonic() - began < 3


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, database: bytes) -> None:
    """Ctrl-C in the middle of a backup removes what has come so far."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "backup", "copy"],
            cwd=tmp_path,
            env=environment(AWAITD_URL=url),
            # What a shell starts in the background ignores SIGINT, and so would this.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for answer in (response(b"200 OK", b"{}"), response(b"200 OK", b"SQ", len(database))):
            connection, _ = listener.accept()
            with closing(connection):
                connection.recv(65_536)
                connection.sendall(answer)
                while b"SQ" in answer and not (tmp_path / "copy.part").exists():
                    time.sleep(0.01)
                if b"SQ" in answer:
                    process.send_signal(signal.SIGINT)
                    process.communicate(timeout=20)
    assert process.returncode != 0
    assert left_in(tmp_path) == []
