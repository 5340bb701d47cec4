import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.commands import cli
from tests.support.server import Server, environment

NOT_READY = b'{"status":"not-ready","reason":"shutting down"}'


def health(*arguments: str, **settings: str) -> Result:
    """The command, with these settings and no others."""
    unset: dict[str, str | None] = dict.fromkeys(("AWAITD_URL", "AWAITD_HOST", "AWAITD_PORT"))
    return CliRunner().invoke(cli, ["health", *arguments], env={**unset, **settings})


@contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """The port of a server that gives every request this answer, or none at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                while answer is None and connection.recv(65_536):
                    pass
                if answer is not None:
                    connection.recv(65_536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def response(status: str, body: bytes) -> bytes:
    """The bytes of an answer."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize("by", ["--url", "AWAITD_URL", "AWAITD_PORT"])
def test_ready_is_0(server: Server, by: str) -> None:
    """A ready server is exit 0, wherever it is said to be."""
    port = server.url.rsplit(":", 1)[1]
    result = {
        "--url": lambda: health("--url", server.url + "/", AWAITD_URL="http://127.0.0.1:1"),
        "AWAITD_URL": lambda: health(AWAITD_URL=server.url, AWAITD_PORT="1"),
        "AWAITD_PORT": lambda: health(AWAITD_URL="", AWAITD_PORT=port),
    }[by]()
    assert (result.exit_code, result.stdout) == (0, "ready\n")


@pytest.mark.parametrize(
    ("host", "works"),
    [("0.0.0.0", True), ("::", True), ("localhost", True), ("", True), ("192.0.2.1.", False)],
)
def test_it_asks_where_the_server_listens(server: Server, host: str, works: bool) -> None:
    """AWAITD_HOST is asked; every address means this machine's own."""
    port = server.url.rsplit(":", 1)[1]
    result = health(AWAITD_HOST=host, AWAITD_PORT=port)
    assert (result.exit_code == 0) is works


def test_other_settings_do_not_matter(server: Server) -> None:
    """A setting that `serve` would refuse is no reason to call a server unhealthy."""
    assert health(AWAITD_URL=server.url, AWAITD_PROT="1", AWAITD_MAX_WAIT="x").exit_code == 0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (response("503 Service Unavailable", NOT_READY), "not ready: shutting down"),
        (response("404 Not Found", b"<html>"), "not ready: it answered 404"),
        (response("503 Service Unavailable", b"[]"), "not ready: it answered 503"),
    ],
)
def test_not_ready_is_1(answer: bytes, message: str) -> None:
    """A server that is not ready is exit 1, with its reason."""
    with answering(answer) as port:
        result = health(AWAITD_PORT=str(port))
    assert (result.exit_code, result.stderr) == (1, f"awaitd: {message}\n")


def test_not_there_is_5() -> None:
    """Where nobody listens is exit 5, with where it looked."""
    port = free_port()
    result = health(AWAITD_PORT=str(port))
    assert result.exit_code == 5
    assert f"cannot reach http://127.0.0.1:{port}" in result.stderr


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b""])
def test_no_http_is_5(answer: bytes) -> None:
    """What speaks no HTTP is not awaitd."""
    with answering(answer) as port:
        assert health(AWAITD_PORT=str(port)).exit_code == 5


def test_no_answer_is_5_within_3_seconds() -> None:
    """A server that does not answer is given up in time."""
    began = time.monotonic()
    with answering(None) as port:
        result = health(AWAITD_PORT=str(port))
    assert result.exit_code == 5
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://[", "file:///etc", "http://a:b"])
def test_a_strange_url_is_5(url: str) -> None:
    """A URL that leads nowhere is exit 5 without a traceback."""
    result = health(AWAITD_URL=url)
    assert result.exit_code == 5
    assert result.stderr.startswith(f"awaitd: cannot reach {url}")


def test_a_proxy_is_not_asked(server: Server) -> None:
    """A proxy for others is no way to this machine."""
    assert health(AWAITD_URL=server.url, http_proxy="http://127.0.0.1:1").exit_code == 0


def test_it_loads_nothing_of_the_service(server: Server, tmp_path: Path) -> None:
    """A check that runs every few seconds needs the standard library alone."""
    code = (
        "import sys; sys.argv = ['awaitd', 'health']; from app.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'typer', 'rich', 'httpx', 'pydantic', 'asyncio', 'app.client', 'app.jobs'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(AWAITD_URL=server.url),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ready\n", "")
