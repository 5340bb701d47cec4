import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sized
from typing import Any

import pytest
from starlette.responses import StreamingResponse
from uvicorn.protocols.http.flow_control import FlowControl

from app.protocol import Connection
from app.serving import give_up_unread
from tests.support.app_server import serving
from tests.support.connections import Recorder, listening, until
from tests.support.raw import connect

HEAD = b"GET / HTTP/1.1\r\nHost: awaitd\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: awaitd\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSE = b"Connection: close\r\n"
SIZE = 65_536


def status_of(answer: bytes) -> int:
    """The status of one answer, which is the only one."""
    assert answer.count(b"HTTP/1.1 ") == 1
    return int(answer.split()[1])


def ready() -> Recorder:
    """An app that answers at once."""
    app = Recorder()
    app.go.set()
    return app


def padded(head: bytes, size: int) -> bytes:
    """A head with a field that makes it so many bytes, its end not counted."""
    return head + b"X: " + b"a" * (size - len(head) - 5) + b"\r\n"


async def refused(request: bytes, *, size: int | None = None) -> tuple[int, str]:
    """Status and slug of the one answer to a request, sent in parts of a size."""
    async with listening(ready()) as listener, listener.connect() as peer:
        for start in range(0, len(request), size or len(request)):
            peer.send(request[start : start + (size or len(request))])
            await asyncio.sleep(0)
        return problem_of(await peer.rest())


def problem_of(answer: bytes) -> tuple[int, str]:
    """Status and slug of the only answer, after which the connection is closed."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"x-content-type-options: nosniff" in head
    assert b"application/problem+json" in head
    return status_of(answer), json.loads(body)["type"].removeprefix("/problems/")


TOO_LARGE = (431, "headers-too-large")


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 431)])
async def test_a_head_may_have_64_kib(more: int, status: int) -> None:
    """The request line and the fields have 64 KiB together, to the byte."""
    # Of the request line the target counts, of a field its name, its value and four bytes.
    uncounted = len(HEAD) - len(b"/Hostawaitd") - 4
    request = padded(HEAD + CLOSE, SIZE + uncounted + more) + b"\r\n"
    async with listening(ready()) as listener, listener.connect() as peer:
        peer.send(request)
        assert status_of(await peer.rest()) == status


@pytest.mark.parametrize(("fields", "status"), [(100, 200), (101, 431)])
async def test_a_head_may_have_100_fields(fields: int, status: int) -> None:
    """One field more is refused, however small they are."""
    async with listening(ready()) as listener, listener.connect() as peer:
        peer.send(HEAD + CLOSE + b"a:\r\n" * (fields - 2) + b"\r\n")
        assert status_of(await peer.rest()) == status


@pytest.mark.parametrize("size", [None, 1_000, 50_000])
@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(HEAD + b"X: " + b"a" * 70_000, id="a value without an end"),
        pytest.param(HEAD + b"a" * 70_000, id="a name without an end"),
        pytest.param(b"GET /" + b"a" * 70_000, id="a target without an end"),
        pytest.param(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", id="a long target"),
        pytest.param(HEAD + b"a: b\r\n" * 10_000, id="fields without an end"),
        pytest.param(b"\r\n" * 40_000, id="empty lines without an end"),
        pytest.param(CHUNKED + b"1;" + b"a" * 140_000, id="a chunk extension without an end"),
        pytest.param(CHUNKED + b"0\r\nX: " + b"a" * 140_000, id="a trailer without an end"),
        pytest.param(CHUNKED + b"0\r\n" + b"a: b\r\n" * 102, id="too many trailers"),
    ],
)
async def test_what_has_no_end_is_refused_while_it_arrives(
    request_bytes: bytes, size: int | None
) -> None:
    """Nobody has to wait for the end of a head, a trailer or a chunk extension to refuse it."""
    assert await refused(request_bytes, size=size) == TOO_LARGE


async def test_many_requests_are_not_one_large_head() -> None:
    """What is counted is counted for each request anew, whatever came in the same packet."""
    body = b"1\r\na\r\n" * 30_000 + b"0\r\nTrailer: a\r\n\r\n"
    small = HEAD + b"X: " + b"a" * 30_000 + b"\r\n\r\n"
    async with listening(ready()) as listener, listener.connect() as peer:
        for _ in range(3):
            peer.send(small + CHUNKED + body)
            assert b"200 OK" in await peer.answer()
            assert (await peer.answer()).endswith(b"/a " + b"a" * 30_000)
        for _ in range(5):
            peer.send(small)
            assert b"200 OK" in await peer.answer()


async def test_a_head_counts_as_a_whole() -> None:
    """What came with the request before it, and what came later, are one head."""
    async with listening(ready()) as listener, listener.connect() as peer:
        peer.send(HEAD + b"\r\n" + HEAD + b"X: " + b"a" * 30_000)
        assert b"200 OK" in await peer.answer()
        peer.send(b"a" * 40_000 + b"\r\n\r\n")
        assert problem_of(await peer.rest()) == TOO_LARGE


async def test_a_trailer_is_no_header() -> None:
    """What follows the body cannot pass for a header of the request."""
    app = ready()
    async with listening(app) as listener, listener.connect() as peer:
        peer.send(CHUNKED + b"1\r\na\r\n0\r\nAuthorization: Bearer stolen\r\n\r\n")
        await peer.answer()
        assert [name for name, _ in app.scopes[0]["headers"]] == [b"host", b"transfer-encoding"]


async def test_only_so_many_requests_may_queue_up() -> None:
    """Behind one at work 100 may wait; they are answered, then the connection is closed."""
    app = Recorder()
    async with listening(app) as listener, listener.connect() as peer:
        peer.send((HEAD + b"\r\n") * 3_000)
        await until(lambda: bool(app.scopes))
        app.go.set()
        answers = await peer.rest()
        assert answers.count(b"HTTP/1.1 200 OK") == len(app.scopes) == 101
        assert answers.count(b"connection: close") == 1


async def test_reading_goes_on_when_the_last_one_has_its_turn() -> None:
    """While requests wait for their turn no more is read; then it is, and answered."""
    turns: asyncio.Queue[None] = asyncio.Queue()

    async def in_turn(scope: Any, receive: Any, send: Any) -> None:
        await turns.get()
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    async with listening(in_turn) as listener, listener.connect() as peer:
        peer.send((HEAD + b"\r\n") * 3)
        await until(lambda: any(len(_pipeline(c)) == 2 for c in listener.state.connections))
        (connection,) = listener.state.connections
        for left in (1, 0):
            assert _flow(connection).read_paused
            turns.put_nowait(None)
            assert b"200 OK" in await peer.answer()
            assert len(_pipeline(connection)) == left
        assert not _flow(connection).read_paused
        for _ in range(2):
            turns.put_nowait(None)
            peer.send(HEAD + b"\r\n")
            assert b"200 OK" in await peer.answer()


def _pipeline(connection: object) -> Sized:
    assert isinstance(connection, Connection)
    return connection.pipeline


def _flow(connection: object) -> FlowControl:
    assert isinstance(connection, Connection)
    return connection.flow


async def test_queued_bodies_are_bounded() -> None:
    """While requests wait for their turn no more is read than the system's buffers hold."""
    app = Recorder()
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"a" * 100_000
    async with listening(app) as listener, listener.connect() as peer:
        for _ in range(90):
            peer.send(request)
        while len(app.scopes) < 5:
            app.go.set()
            await asyncio.sleep(0)
            app.go.clear()
            (connection,) = listener.state.connections
            queued = getattr(connection, "pipeline", ())
            assert sum(len(cycle.body) for cycle, _ in queued) < 1_000_000


async def in_parts(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it gets, of a length that it does not tell."""
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"got ", "more_body": True})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body"})


async def test_of_http_1_0_no_more_is_expected_than_it_knows() -> None:
    """Neither chunks nor 100 Continue: what has no length ends with the connection."""
    head = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    async with listening(in_parts) as listener, listener.connect() as peer:
        peer.send(head + b"this")
        head, _, body = (await peer.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"transfer-encoding" not in head
    assert (head.count(b"connection: close"), body) == (1, b"got this")


@pytest.mark.parametrize(
    "bad",
    [b"\x00\x01", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"],
)
async def test_a_bad_request_does_not_break_into_an_answer(bad: bytes) -> None:
    """While one request is answered bit by bit, what follows it has to wait for its turn."""
    more = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"6")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await more.wait()
        await send({"type": "http.response.body", "body": b"def"})

    async with listening(slow) as listener, listener.connect() as peer:
        peer.send(HEAD + b"\r\n" + bad + b"\x00")
        assert (await peer.reader.readuntil(b"abc")).startswith(b"HTTP/1.1 200")
        more.set()
        assert await peer.reader.readexactly(3) == b"def"
        answers = await peer.rest()
        assert problem_of(answers[answers.rindex(b"HTTP/1.1 ") :]) == (400, "bad-request")


async def test_a_bad_body_gets_one_answer() -> None:
    """A request that turns out bad while its handler is at work is answered once."""
    app = Recorder()
    async with listening(app) as listener, listener.connect() as peer:
        peer.send(CHUNKED)
        await until(lambda: bool(app.scopes))
        peer.send(b"xyz\r\n")
        assert problem_of(await peer.rest()) == (400, "bad-request")
        assert app.disconnects == 1


@pytest.mark.parametrize("close", [b"", CLOSE])
async def test_an_upgrade_is_declined(close: bytes) -> None:
    """No other protocol is spoken: the request is answered, and so is the one that follows."""
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    app = ready()
    async with listening(app) as listener, listener.connect() as peer:
        peer.send(HEAD + upgrade + HEAD + close + b"\r\n")
        assert b"200 OK" in await peer.answer()
        assert b"200 OK" in await peer.answer()


async def test_beyond_the_limit_connections_are_told_so_and_then_closed() -> None:
    """Over the limit requests get 503, further over it nobody is let in; room is used again."""
    async with (
        listening(ready(), max_connections=2, spare_connections=1) as listener,
        listener.connect() as one,
    ):
        async with listener.connect(), listener.connect() as three:
            await until(lambda: len(listener.state.connections) == 3)
            async with listener.connect() as four:
                assert await four.rest() == b""
            one.send(HEAD + b"\r\n")
            assert b"200 OK" in await one.answer()
            three.send(HEAD + b"\r\n")
            answer = await three.rest()
            assert problem_of(answer) == (503, "too-many-connections")
            assert b"retry-after: 1\r\n" in answer
        await until(lambda: len(listener.state.connections) == 1)
        async with listener.connect() as five:
            five.send(HEAD + b"\r\n")
            assert b"200 OK" in await five.answer()


async def test_at_shutdown_half_a_request_is_refused() -> None:
    """A body that is still arriving when the server stops gets 503, and a head is cut off."""
    app = ready()
    async with (
        listening(app) as listener,
        listener.connect() as body,
        listener.connect() as head,
    ):
        body.send(CHUNKED)
        head.send(HEAD)
        await until(lambda: bool(app.scopes))
        for connection in list(listener.state.connections):
            connection.shutdown()
        assert problem_of(await body.rest()) == (503, "shutting-down")
        assert await head.rest() == b""


async def test_at_shutdown_one_that_was_refused_is_let_go(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who has been refused and lingers is closed, without a second answer or an error."""
    app = Recorder()
    async with listening(app) as listener, listener.connect() as peer:
        peer.send(CHUNKED + b"x\r\n")
        await peer.reader.readuntil(b"HTTP/1.1 400")
        for connection in list(listener.state.connections):
            connection.shutdown()
        assert b"HTTP/1.1 " not in await peer.rest()
        await until(lambda: not listener.state.connections)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_peer_that_reads_nothing_is_given_up() -> None:
    """Who takes nothing of a stream for long enough is disconnected, and its handler let go."""
    left = threading.Event()

    async def chunks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"a" * 65_536
                await asyncio.sleep(0)
        finally:
            left.set()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await StreamingResponse(chunks())(scope, receive, send)

    with (
        serving(endless, prepare=lambda listener: give_up_unread(listener, 0.2)) as client,
        connect(str(client.base_url)) as peer,
    ):
        peer.sendall(HEAD + b"\r\n")
        assert left.wait(20)


@pytest.mark.parametrize("version", [b"1.1", b"1.0", b"2.0", b"0.9"])
@pytest.mark.parametrize(
    "field",
    [b"", b"Connection: keep-alive\r\n", b"Proxy-Connection: keep-alive\r\n", CLOSE],
    ids=["nothing", "keep-alive", "proxy", "close"],
)
async def test_the_version_is_what_the_request_says(version: bytes, field: bytes) -> None:
    """Whatever it says of its connection; HTTP/1.0 has it closed."""
    app = ready()
    request = HEAD.replace(b"1.1", version) + field + b"\r\n"
    async with listening(app) as listener, listener.connect() as peer:
        peer.send(request)
        if version == b"1.1" and field != CLOSE:
            assert b"200 OK" in await peer.answer()
        else:
            answer = await peer.rest()
            assert answer.split()[1] == (b"200" if version[:1] == b"1" else b"400")
    known = [scope["http_version"] for scope in app.scopes]
    assert known == ([version.decode()] if version[:1] == b"1" else [])
