"""Receivers that answer with what no web server says."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.support.certificate import self_signed
from tests.support.receiver import SECRET
from tests.support.server import Server
from tests.webhooks.test_sender import Sending, over, told


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose connections are answered by this, one after the other."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_broken_tls(tmp_path: Path) -> None:
    """A receiver that breaks TLS after its handshake has had its attempt, and gets further ones."""
    certificate = self_signed(tmp_path, "IP:127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def answer(connection: socket.socket) -> None:
        with connection.dup() as below, context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1 << 16)
            below.sendall(b"this is no TLS" * 10)
            below.recv(1 << 16)

    settings: Final = {
        "AWAITD_WEBHOOK_SECRET": SECRET,
        "AWAITD_OUTBOUND_ALLOW": "127.0.0.1",
        "SSL_CERT_FILE": str(certificate),
    }
    with answering(answer) as port, Server(tmp_path, **settings) as server:
        webhook = {"url": f"https://127.0.0.1:{port}/"}
        body = {"task": "echo", "params": {"value": 1}, "webhook": webhook}
        job = server.client.post("/jobs", json=body, headers={"Prefer": "wait=20"}).json()
        delivery: dict[str, Any] = {"attempts": 0}
        tag = ""
        while not delivery["attempts"]:
            reply = server.client.get(job["links"]["self"], headers={"If-None-Match": tag})
            if reply.status_code == 200:
                tag = reply.headers["ETag"]
                [delivery] = reply.json()["webhook"]["deliveries"]
    assert delivery["last_error"] == "it does not speak TLS as it should"
    assert delivery["status"] == "pending"


async def test_an_unknown_certificate(sending: Sending, tmp_path: Path) -> None:
    """A receiver whose certificate no authority has signed is told nothing."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(self_signed(tmp_path, "IP:127.0.0.1"))
    heard: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            heard.append(tls.recv(1 << 16))

    asyncio.get_running_loop().set_debug(False)  # which would report the broken handshake
    with answering(answer) as port:
        async with sending(schedule=[60]) as engine:
            job = await told(engine, f"https://127.0.0.1:{port}/")
            delivery = await over(engine, job, attempts=1)
    assert delivery.last_error == "its certificate is not trusted"
    assert heard == []


async def test_an_endless_head(sending: Sending) -> None:
    """Of an answer that begins again and again little is read, and that in turns with others."""

    def answer(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        while True:
            connection.sendall(b"HTTP/1.1 103 \r\n\r\n" * 1_000)

    with answering(answer) as port:
        url = f"http://127.0.0.1:{port}/"
        async with sending(schedule=[60], within=3.0) as engine:
            delivery = await over(engine, await told(engine, url), attempts=1)
    assert delivery.last_error == "the connection broke"
