"""What goes out on a connection, against what uvicorn sends."""

import asyncio
import gc
import json
import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.api.replies import JOB, PROBLEM, WHOLE, Reply
from app.cycle import Cycle
from app.outbox import Outbox
from tests.support.connections import listening, until

DATE: Final = (b"date", b"Sun, 22 Nov 2026 10:00:00 GMT")


class Wire(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False
        self.is_ready = True

    def take_from_now_on(self, flow: FlowControl) -> None:
        """The peer is ready."""
        self.is_ready = True
        flow.resume_writing()

    def write(self, data: Any) -> None:
        assert self.is_ready
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def send_reply(reply: Reply, scope: Any, receive: Any, send: Any) -> None:
    """Send a reply whole, where that can be, else in its parts."""
    if not scope[WHOLE](reply):
        await reply(scope, receive, send)


async def sent_by(
    kind: type[RequestResponseCycle], method: str, keep_alive: bool, messages: Sequence[Any]
) -> Any:
    """What a cycle sends for an app that sends these messages; how it leaves the connection."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return await answer_of(kind, app, {"method": method}, keep_alive)


async def answer_of(
    kind: type[RequestResponseCycle],
    app: Any,
    scope: Any,
    keep_alive: bool,
    *,
    access_log: bool = False,
    is_gone: bool = False,
    is_slow: bool = False,
) -> Any:
    """What a cycle sends for an app, and how it leaves the connection.

    A slow peer takes nothing until the next turn of the event loop, and one that is gone nothing.
    """
    wire, completed = Wire(), []
    flow = FlowControl(wire)
    if is_slow:
        flow.pause_writing()
        wire.is_ready = False
        asyncio.get_running_loop().call_soon(wire.take_from_now_on, flow)
    cycle = cycle_of(kind, scope, wire, flow, lambda: completed.append(True), access_log=access_log)
    cycle.keep_alive = keep_alive
    cycle.disconnected = is_gone
    await cycle.run_asgi(app)
    return wire.sent, wire.closed, completed, cycle.response_complete


def cycle_of(
    kind: type[RequestResponseCycle],
    scope: Any,
    wire: Wire,
    flow: FlowControl,
    completes: Callable[[], object],
    *,
    access_log: bool = False,
) -> Any:
    """A cycle of ours, or of uvicorn's."""
    parts: dict[str, Any] = {
        "flow": flow,
        "logger": logging.getLogger("nobody"),
        "access_logger": logging.getLogger("nobody"),
        "access_log": access_log,
    }

    if kind is Cycle:
        state = SimpleNamespace(default_headers=[DATE])
        tasks, loop = set[Any](), asyncio.get_running_loop()
        connection = SimpleNamespace(
            server_state=state,
            on_response_complete=completes,
            tasks=tasks,
            loop=loop,
            outbox=Outbox(),
            **parts,
        )
        ours = Cycle(cast(Any, connection), scope, wire)
        scope[WHOLE] = ours.send_whole
        return ours
    return kind(
        scope=scope,
        transport=cast(Any, wire),
        default_headers=[DATE],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=True,
        on_response=cast(Any, completes),
        **parts,
    )


names = st.sampled_from([b"etag", b"Vary", b"content-type"])
texts = st.sampled_from([b"a", b"", b"close", b"chunked", b"a\tb", b"\xff"])
ordinary = st.tuples(names, texts)
framing = st.sampled_from(
    [(b"connection", b"close"), (b"Connection", b"x, Close"), (b"transfer-encoding", b"chunked")]
)
broken = st.tuples(names, st.sampled_from([b"a\r\nb: c", b"\0", b"a\n"])) | st.tuples(
    st.sampled_from([b"a:b", b"a b", b"a\r\nb"]), texts
)
fields = st.lists(ordinary, max_size=3) | st.lists(ordinary | framing | broken, max_size=2)
bodies = st.lists(st.sampled_from([b"", b"abc", b"a" * 70_000]), max_size=3)


@settings(max_examples=200, derandomize=True)
@given(
    status=st.sampled_from([200, 202, 204, 304, 404, 599]),
    fields=fields,
    bodies=bodies,
    length=st.sampled_from([0, 0, 0, 0, 1, None]),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    keep_alive=st.sampled_from([True, True, True, False]),
)
def test_the_same_bytes_go_out(
    status: int,
    fields: list[tuple[bytes, bytes]],
    bodies: list[bytes],
    length: int | None,
    method: str,
    keep_alive: bool,
) -> None:
    """Whole answers, streams, ones cut short and ones that are no HTTP: all as by uvicorn."""
    if length is not None:
        declared = sum(map(len, bodies)) + length
        fields = [*fields, (b"content-length", b"%d" % declared)]
    messages: list[Any] = [{"type": "http.response.start", "status": status, "headers": fields}]
    for index, body in enumerate(bodies):
        more = index + 1 < len(bodies)
        messages.append({"type": "http.response.body", "body": body, "more_body": more})

    async def both() -> None:
        ours, theirs = [
            await sent_by(kind, method, keep_alive, messages)
            for kind in (Cycle, RequestResponseCycle)
        ]
        if not bodies and not ours[0]:  # a head that nothing follows is not sent at all
            assert theirs[1:] == ours[1:]
        else:
            assert ours == theirs

    asyncio.run(both())


def scope_of_get() -> dict[str, Any]:
    """A request that has nothing odd."""
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/jobs",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "headers": [],
    }


own_fields = st.dictionaries(
    st.sampled_from(["ETag", "Location"]),
    st.sampled_from(["1", "", "a\tb", "\xff", "\u20ac", "a\r\nb: c", "a\n", "\0", "\x7f"]),
)
replies = st.builds(
    Reply,
    st.sampled_from([b"{}", b"", b"a" * 70_000]),
    st.sampled_from([200, 202, 404]),
    st.sampled_from([JOB, PROBLEM]),
    own_fields,
) | st.builds(Reply, st.just(b""), st.sampled_from([204, 304]), st.just(JOB), own_fields)


@settings(max_examples=300, derandomize=True)
@given(
    reply=replies,
    keep_alive=st.sampled_from([True, True, False]),
    conditions=st.fixed_dictionaries(
        {}, optional={"access_log": st.booleans(), "is_gone": st.booleans()}
    ),
)
def test_a_whole_reply_is_as_its_parts(
    reply: Reply, keep_alive: bool, conditions: dict[str, bool]
) -> None:
    """A reply that is handed over whole goes out as uvicorn sends its parts."""

    async def whole(scope: Any, receive: Any, send: Any) -> None:
        await send_reply(reply, scope, receive, send)

    async def both() -> None:
        scope = scope_of_get()
        ours = await answer_of(Cycle, whole, scope, keep_alive, **conditions)
        theirs = await answer_of(RequestResponseCycle, reply, scope, keep_alive, **conditions)
        assert ours == theirs

    asyncio.run(both())


async def test_a_whole_reply_waits_for_a_slow_peer() -> None:
    """What its connection does not take yet is not piled up there."""

    async def whole(scope: Any, receive: Any, send: Any) -> None:
        await send_reply(Reply(b"{}"), scope, receive, send)

    sent, *_ = await answer_of(Cycle, whole, scope_of_get(), True, is_slow=True)
    assert sent.endswith(b"\r\n\r\n{}")


async def test_a_whole_reply_is_in_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    """It has its line there like any other answer."""

    async def whole(scope: Any, receive: Any, send: Any) -> None:
        await send_reply(Reply(b"{}"), scope, receive, send)

    caplog.set_level(logging.INFO)
    await answer_of(Cycle, whole, scope_of_get(), True, access_log=True)
    [line] = caplog.messages
    assert '"GET /jobs HTTP/1.1" 200' in line


async def test_an_answer_is_one_write() -> None:
    """Head and body of an ordinary answer go out together, with every header field."""
    reply = Reply(b"{}", 202, JOB, {"ETag": '"1"'})

    async def whole(scope: Any, receive: Any, send: Any) -> None:
        await send_reply(reply, scope, receive, send)

    sent, _, completed, _ = await answer_of(Cycle, whole, {"method": "GET"}, True)
    head, _, body = sent.partition(b"\r\n\r\n")
    assert (body, completed) == (b"{}", [True])
    lines = [b"HTTP/1.1 202 Accepted", *(b": ".join(field) for field in (DATE, *reply.fields()))]
    assert head.split(b"\r\n") == lines


async def test_a_request_that_the_end_of_the_server_cuts_off_is_told_so() -> None:
    """It gets a problem like any other, and may be sent again elsewhere."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise asyncio.CancelledError

    sent, *_ = await answer_of(Cycle, app, scope_of_get(), True)
    head, _, body = sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1" in head.lower()
    assert json.loads(body)["type"].endswith("shutting-down")


BEGINNING: Final = {"type": "http.response.start", "status": 200, "headers": []}
END: Final = {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize("is_gone", [False, True])
@pytest.mark.parametrize("messages", [[], [BEGINNING], [BEGINNING, END]])
@pytest.mark.parametrize("ends_with", [None, "a value", LookupError("a defect")])
async def test_an_app_that_fails_is_told_of_as_by_uvicorn(
    messages: Sequence[Any], ends_with: object, is_gone: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Before an answer, in one or after it: the same bytes, the same lines in the log."""

    async def app(scope: Any, receive: Any, send: Any) -> object:
        for message in messages:
            await send(message)
        if isinstance(ends_with, Exception):
            raise ends_with
        return ends_with

    seen = []
    for kind in (Cycle, RequestResponseCycle):
        answer = await answer_of(kind, app, scope_of_get(), True, is_gone=is_gone)
        raised = [record.exc_info and record.exc_info[1] for record in caplog.records]
        seen.append((answer, caplog.messages[:], raised))
        caplog.clear()
    assert seen[0] == seen[1]


async def test_a_request_is_waited_for_until_it_is_answered() -> None:
    """An end of the server finds the tasks of those that are being answered, and no others."""
    going_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await going_on.wait()
        await send_reply(Reply(b"{}"), scope, receive, send)

    async with listening(app) as listener, listener.connect() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: awaitd\r\n\r\n")
        await until(lambda: bool(listener.state.tasks))
        (task,) = listener.state.tasks
        going_on.set()
        assert b"200 OK" in await peer.answer()
        await until(task.done)
        assert not listener.state.tasks


async def heard_by(kind: type[RequestResponseCycle], events: Sequence[str]) -> list[Any]:
    """What the app receives, and when it has to wait, while these things happen."""
    wire = Wire()
    flow = FlowControl(wire)
    cycle = cycle_of(kind, {}, wire, flow, bool)
    heard: list[Any] = []
    waiting: asyncio.Task[Any] | None = None
    for event in events:
        if event == "asks":
            waiting = waiting or asyncio.create_task(cycle.receive())
        elif event == "another request comes":
            flow.pause_reading()
        else:
            if event == "some":
                cycle.body += b"some"
            cycle.more_body = cycle.more_body and event != "end"
            cycle.disconnected = cycle.disconnected or event == "gone"
            cycle.response_complete = cycle.response_complete or event == "answered"
            cycle.message_event.set()
        for _ in range(5):
            await asyncio.sleep(0)
        if waiting is not None and waiting.done():
            heard.append(waiting.result())
            waiting = None
        heard.append((waiting is None, flow.read_paused))
    if waiting is not None:
        waiting.cancel()
    return heard


@settings(max_examples=300, derandomize=True)
@given(
    before=st.lists(st.sampled_from(["some", "asks", "another request comes"]), max_size=5),
    after=st.lists(st.sampled_from(["asks", "another request comes", "gone", "answered"])),
    is_complete=st.booleans(),
)
def test_the_app_receives_the_same(before: list[str], after: list[str], is_complete: bool) -> None:
    """Whatever has arrived by when it asks, and whether or not more comes: as uvicorn gives it."""
    events = [*before, *["end"] * is_complete, *after]
    ours, theirs = (asyncio.run(heard_by(kind, events)) for kind in (Cycle, RequestResponseCycle))
    assert ours == theirs


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Python without its search for what leads back to itself."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.usefixtures("no_collector")
async def test_a_closed_connection_leaves_no_garbage(is_whole: bool) -> None:
    """Neither it nor its last request has to be found by the collector."""

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        send_whole, reply = scope.pop(WHOLE), Reply(b"{}")
        if not (is_whole and send_whole(reply)):
            await reply(scope, _receive, send)

    async with listening(app) as listener:
        async with listener.connect() as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: awaitd\r\n\r\n")
            assert b"200 OK" in await peer.answer()
            (connection,) = cast(set[Any], listener.state.connections)
            left = weakref.ref(connection)
            del connection
        await until(lambda: not listener.state.connections)
        await until(lambda: left() is None)


@pytest.mark.usefixtures("no_collector")
async def test_a_failed_request_leaves_no_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error leads to what it was raised in, and that not back to the error."""
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "disabled", True)  # it would be kept
    left: list[weakref.ref[Any]] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        left.append(weakref.ref(cast(Any, scope.pop(WHOLE)).__self__))
        raise LookupError("a defect")

    async with listening(app) as listener:
        async with listener.connect() as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: awaitd\r\n\r\n")
            assert b"500 " in await peer.answer()
        await until(lambda: not listener.state.connections)
        await until(lambda: left[0]() is None)
