"""What all commands have in common."""

import socket
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.commands import cli
from tests.cli.conftest import Awaitd
from tests.cli.test_jobs import ABSENT
from tests.support.command import run, start
from tests.support.relay import Relay, response
from tests.support.server import Server

ASKING = {
    "run": ("run", "echo", "value=1"),
    "run --wait": ("run", "echo", "value=1", "--wait"),
    "again": ("again", ABSENT),
    "ls": ("ls",),
    "show": ("show", ABSENT),
    "logs": ("logs", ABSENT),
    "logs -f": ("logs", "-f", ABSENT),
    "result": ("result", ABSENT),
    "cancel": ("cancel", ABSENT),
    "redeliver": ("redeliver", ABSENT),
    "tasks": ("tasks",),
    "demo": ("demo",),
    "health": ("health",),
    "backup": ("backup", "copy"),
}
"""Each command that asks a server."""


def test_every_command_is_there() -> None:
    """The help names every command, and each has help of its own."""
    helped = CliRunner().invoke(cli, ["--help"]).output
    own = {arguments[0] for arguments in ASKING.values()}
    for command in (*own, "serve", "worker", "migrate", "keys", "openapi"):
        assert f" {command} " in helped
        assert CliRunner().invoke(cli, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize("arguments", ASKING.values(), ids=ASKING.keys())
def test_nobody_there_is_5(awaitd: Awaitd, arguments: tuple[str, ...]) -> None:
    """Without a server each is exit 5 and says where it looked, with nothing on stdout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ran = awaitd(*arguments, AWAITD_URL=url)
    assert (ran.exit_code, ran.stdout) == (5, "")
    assert ran.stderr.startswith(f"awaitd: cannot reach {url}: ")


def test_who_drips_is_5_within_3_seconds(awaitd: Awaitd) -> None:
    """An answer that comes byte by byte is none, though each byte is in time."""
    ended = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with closing(connection), suppress(OSError):
            while not ended.wait(0.05):
                connection.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        began = time.monotonic()
        try:
            ran = awaitd("ls", AWAITD_URL=f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            took = time.monotonic() - began
            ended.set()
            thread.join()
    assert (ran.exit_code, took < 3) == (5, True)


def test_something_else_there_is_5(awaitd: Awaitd) -> None:
    """What speaks HTTP, but is no awaitd, is not the server."""
    with Relay() as relay:
        relay.answers.extend([response("200 OK", b"<html>")] * 2)
        ran = awaitd("ls", AWAITD_URL=relay.url)
    assert (ran.exit_code, ran.stdout) == (5, "")
    assert "but not as awaitd does" in ran.stderr


def test_a_server_that_dies_is_5(awaitd: Awaitd, jobs: Server) -> None:
    """A server that is there at first, and then no more, is exit 5 as well."""
    with Relay() as relay:
        relay.answers.append(response("200 OK"))
        ran = awaitd("ls", AWAITD_URL=relay.url)
    assert (ran.exit_code, ran.stdout) == (5, "")
    assert f"no answer from {relay.url}" in ran.stderr


def test_data_only_in_a_pipe(jobs: Server, tmp_path: Path) -> None:
    """In a pipe there is no bar, colour or spinner, on stdout or stderr, whatever the settings."""
    settings = {"AWAITD_URL": jobs.url, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    ran = run("run", "count_primes", "limit=100000", "--wait", folder=tmp_path, **settings)
    assert (ran.returncode, ran.stdout) == (0, "9592\n")
    assert ran.stderr.startswith("awaitd: job ")
    assert ran.stderr.count("\n") == 1
    listed = run("ls", folder=tmp_path, **settings)
    assert "\x1b" not in ran.stderr + listed.stdout + listed.stderr


def test_a_closed_pipe(jobs: Server, tmp_path: Path) -> None:
    """When nobody reads on, as behind `head`, it ends without a word."""
    process = start("tasks", "--output", "json", folder=tmp_path, AWAITD_URL=jobs.url)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with closing(process.stderr) as stderr:
        assert stderr.read() == ""
    assert process.wait() == 1
