"""Where the client goes, and whom it trusts."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.client import AsyncAwaitd, Awaitd, Untrusted
from tests.client.conftest import Connect
from tests.support.certificate import self_signed
from tests.support.relay import response
from tests.support.server import Server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, in one file with its key."""
    return self_signed(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


@pytest.fixture
def secure(certificate: Path) -> Iterator[str]:
    """Where a service without tasks answers over TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(1 << 16)
                    tls.sendall(response("200 OK", b'{"items": []}'))

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_certificate_of_nobodys(connect: Connect, secure: str) -> None:
    """A service whose certificate nobody has vouched for is not asked again and again."""
    with pytest.raises(Untrusted, match="certificate verify failed"):
        connect(secure).tasks()


def test_a_certificate_of_an_authority_of_ones_own(
    connect: Connect, secure: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE names whom to trust."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert connect(secure).tasks() == []


def test_a_proxy_is_not_asked(
    connect: Connect, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy for others is no way to the service."""
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert connect(server.url, timeout=5).tasks()


def test_handles_of_one_job_are_equal() -> None:
    """They hash alike, too, whichever client they are of."""
    one, other = "00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002"
    for kind in (Awaitd, AsyncAwaitd):
        client = kind("http://127.0.0.1:1")
        assert {client.job(one), client.job(one)} == {client.job(one)}
        assert client.job(one) != client.job(other)
