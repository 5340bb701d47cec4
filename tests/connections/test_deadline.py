import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.support.connections import Recorder, listening
from tests.support.virtual import now, run_virtual

GET = b"GET /livez HTTP/1.1\r\nHost: awaitd\r\n\r\n"
POST = b"POST /jobs HTTP/1.1\r\nHost: awaitd\r\nContent-Length: 1000\r\n\r\n"

Test = Callable[[], Coroutine[Any, Any, None]]


def in_virtual_time(test: Test) -> Callable[[], None]:
    """The test, on a clock that jumps."""

    def run() -> None:
        run_virtual(test)

    run.__doc__ = test.__doc__
    return run


def is_timeout(answer: bytes) -> bool:
    """Whether it is one answer, and says that the request took too long."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return (
        answer.count(b"HTTP/1.1 ") == 1
        and head.startswith(b"HTTP/1.1 408 ")
        and b"application/problem+json" in head
        and b"connection: close" in head
        and json.loads(body)["type"] == "/problems/request-timeout"
    )


@in_virtual_time
async def test_a_silent_connection_is_closed() -> None:
    """Who connects and says nothing is cut off after 30 s, without a word."""
    async with listening(Recorder()) as listener, listener.connect() as peer:
        assert await peer.rest() == b""
        assert now() == pytest.approx(30)
        assert not listener.state.connections


@pytest.mark.parametrize("every", [0.01, 1, 7, 29])
@pytest.mark.parametrize(
    "request_line", [b"GET /livez HTTP/1.1\r\nHost: awaitd\r\nX: ", b"GET /livez HTTP/1.1\r\nX-"]
)
def test_a_slow_head_is_refused(every: float, request_line: bytes) -> None:
    """A head that trickles in gets 408 after 30 s, however its bytes are spread."""

    async def main() -> None:
        async with listening(Recorder()) as listener, listener.connect() as peer:
            peer.send(request_line)
            drip = asyncio.ensure_future(peer.drip(b"a" * 10_000, every))
            assert is_timeout(await peer.rest())
            assert 30 <= now() < 32
            drip.cancel()

    run_virtual(main)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_slow_body_is_refused(chunked: bool) -> None:
    """A body that trickles in gets one answer, 408, and its handler learns that nobody is there."""

    async def main() -> None:
        app = Recorder()
        async with listening(app) as listener, listener.connect() as peer:
            head = POST.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked")
            peer.send(head if chunked else POST)
            drip = asyncio.ensure_future(peer.drip(b"1\r\na\r\n" * 1_000, 3))
            assert is_timeout(await peer.rest())
            assert 30 <= now() < 32
            assert app.disconnects == 1
            assert not listener.state.tasks
            drip.cancel()

    run_virtual(main)


@in_virtual_time
async def test_the_next_request_has_30_seconds_too() -> None:
    """On a connection of earlier use the clock starts with the next request's first byte."""
    app = Recorder()
    app.go.set()
    async with listening(app) as listener, listener.connect() as peer:
        await asyncio.sleep(20)
        peer.send(GET)
        await peer.answer()
        await asyncio.sleep(4)
        peer.send(GET[:10])
        assert is_timeout(await peer.rest())
        assert 54 <= now() < 56


@in_virtual_time
async def test_empty_lines_are_no_way_to_stay() -> None:
    """Who sends nothing but empty lines is cut off as one who is silent."""
    app = Recorder()
    app.go.set()
    async with listening(app) as listener, listener.connect() as peer:
        peer.send(GET)
        await peer.answer()
        drip = asyncio.ensure_future(peer.drip(b"\r\n" * 100, 2))
        assert await peer.rest() == b""
        assert now() == pytest.approx(30)
        drip.cancel()


@in_virtual_time
async def test_an_idle_connection_is_closed_after_5_seconds() -> None:
    """Between two requests a connection may rest for a moment."""
    app = Recorder()
    app.go.set()
    async with listening(app) as listener, listener.connect() as peer:
        peer.send(GET)
        await peer.answer()
        assert await peer.rest() == b""
        assert now() == pytest.approx(5)


@in_virtual_time
async def test_a_request_that_is_there_may_take_its_time() -> None:
    """How long an answer takes is not limited."""
    app = Recorder()
    async with listening(app) as listener, listener.connect() as peer:
        peer.send(GET)
        await asyncio.sleep(3_600)
        app.go.set()
        assert b"GET /livez" in await peer.answer()


@in_virtual_time
async def test_the_answer_before_comes_first() -> None:
    """When a second request trickles in while the first is at work, 408 follows its answer."""
    app = Recorder()
    async with listening(app) as listener, listener.connect() as peer:
        peer.send(GET + GET[:-2])
        await asyncio.sleep(40)
        app.go.set()
        assert b"GET /livez" in await peer.answer()
        assert is_timeout(await peer.rest())


@in_virtual_time
async def test_a_slow_body_behind_another_request_is_refused_in_its_turn() -> None:
    """A request that is queued and whose body never comes is not handed to the app any more."""
    app = Recorder()
    async with listening(app) as listener, listener.connect() as peer:
        peer.send(GET + POST + b"a")
        await asyncio.sleep(40)
        app.go.set()
        assert b"GET /livez" in await peer.answer()
        assert is_timeout(await peer.rest())
        assert [scope["path"] for scope in app.scopes] == ["/livez"]


@in_virtual_time
async def test_an_app_that_does_not_read_is_not_the_peers_fault() -> None:
    """A body that is held back because nobody reads it is not too slow."""
    go = asyncio.Event()
    size = 500_000

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await Recorder(go)(scope, receive, send)

    async with listening(late) as listener, listener.connect() as peer:
        peer.send(POST.replace(b"1000", str(size).encode()) + b"a" * size)
        await asyncio.sleep(100)
        go.set()
        assert (await peer.answer()).endswith(b"a" * size)


@in_virtual_time
async def test_one_that_is_answered_already_is_only_closed() -> None:
    """A body that trickles in after its answer ends the connection, without a second answer."""

    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": b"no"})

    async with listening(hasty) as listener, listener.connect() as peer:
        peer.send(POST)
        drip = asyncio.ensure_future(peer.drip(b"a" * 1_000, 2))
        answer = await peer.rest()
        assert answer.startswith(b"HTTP/1.1 413")
        assert answer.endswith(b"\r\n\r\nno")
        assert 30 <= now() < 32
        drip.cancel()


def test_one_that_left_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is done about a connection that is gone."""

    async def main() -> None:
        async with listening(Recorder()) as listener:
            async with listener.connect() as peer:
                peer.send(GET[:-2])
                await asyncio.sleep(1)
            await asyncio.sleep(100)
            assert not listener.state.connections

    run_virtual(main)
    assert not [record for record in caplog.records if record.levelname != "INFO"]
