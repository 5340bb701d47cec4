"""Answers that leave together, and what may come between them and their peers."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import pytest

from app import outbox
from app.api.problems import Problem
from app.api.replies import WHOLE, Reply
from app.outbox import MANY, MOST, SOON, Outbox
from tests.support.connections import App, Listener, listening, until

REQUEST: Final = b"GET / HTTP/1.1\r\nHost: awaitd\r\n\r\n"


class Wire(asyncio.Transport):
    """Notes what is written to it."""

    def __init__(self, written: list[int], number: int) -> None:
        super().__init__()
        self._written = written
        self._number = number
        self.closing = False

    def write(self, data: Any) -> None:
        self._written.append(self._number)

    def is_closing(self) -> bool:
        return self.closing


def wires(count: int) -> tuple[list[Wire], list[int]]:
    """So many, and the numbers of those to which was written, in this order."""
    written: list[int] = []
    return [Wire(written, number) for number in range(count)], written


async def a_turn_of_many(box: Outbox, some: list[Wire], written: list[int]) -> None:
    """They have all been answered, at once and in this order; then comes the next turn."""
    for wire in some:
        box.put(wire, b"answer", asyncio.get_running_loop())
    assert written == [*range(len(some))]
    await asyncio.sleep(0)
    written.clear()


async def test_few_answers_leave_at_once() -> None:
    """Turn after turn: nobody waits for what comes after."""
    box, loop = Outbox(), asyncio.get_running_loop()
    some, written = wires(MANY - 1)
    for turn in range(1, 4):
        for wire in some:
            box.put(wire, b"answer", loop)
        assert written == [*range(MANY - 1)] * turn
        await asyncio.sleep(0)


async def test_many_answers_leave_together_after_their_turn() -> None:
    """In their order, once there have been many; and at once again after a turn with few."""
    box, loop = Outbox(), asyncio.get_running_loop()
    some, written = wires(MANY)
    await a_turn_of_many(box, some, written)
    box.put(some[1], b"answer", loop)
    box.put(some[0], b"answer", loop)
    assert written == []
    await asyncio.sleep(0)
    assert written == [1, 0]
    box.put(some[2], b"answer", loop)
    assert written == [1, 0, 2]


async def test_a_peer_that_is_gone_keeps_nobody_from_an_answer() -> None:
    """Its own is dropped."""
    box, loop = Outbox(), asyncio.get_running_loop()
    some, written = wires(MANY)
    await a_turn_of_many(box, some, written)
    for wire in some[:3]:
        box.put(wire, b"answer", loop)
    some[0].closing = True
    await asyncio.sleep(0)
    assert written == [1, 2]


async def test_many_answers_are_not_held_for_long() -> None:
    """A full box is sent at once, and after a pause answers leave at once again."""
    box, loop = Outbox(), asyncio.get_running_loop()
    some, written = wires(MOST)
    await a_turn_of_many(box, some, written)
    for wire in some:
        box.put(wire, b"answer", loop)
    assert written == [*range(MOST)]
    await asyncio.sleep(0)
    box._begun_at -= SOON
    box.put(some[0], b"answer", loop)
    assert written == [*range(MOST), 0]


@pytest.fixture
def collecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers leave together from the second turn on that has one."""
    monkeypatch.setattr(outbox, "MANY", 1)
    monkeypatch.setattr(outbox, "SOON", 3600.0)


def answering(then: Callable[[Any], None]) -> tuple[App, list[Listener]]:
    """An app that answers and has something happen to the connection, and where it is served."""
    served: list[Listener] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        assert scope[WHOLE](Reply(scope["path"].encode()))
        if scope["path"] == "/last":
            (connection,) = cast(set[Any], served[0].state.connections)
            then(connection)

    return app, served


@pytest.mark.usefixtures("collecting")
@pytest.mark.parametrize(
    "what", ["shutdown", "eof_received", "_look_at_the_time", "a defect", "a body"]
)
async def test_what_closes_a_connection_comes_after_its_answer(what: str) -> None:
    """An answer that waits is sent before the connection ends, whatever it is that ends it."""

    def closes(connection: Any) -> None:
        if what == "a defect":
            raise LookupError(what)
        if what == "a body":  # that goes on wrong after the answer
            connection._arriving = connection.cycle
            connection._refuse(Problem("not-found", what))
            return
        getattr(connection, what)()
        connection.transport.close()

    app, served = answering(closes)
    async with listening(app) as listener, listener.connect() as peer:
        served.append(listener)
        peer.send(REQUEST)
        assert (await peer.answer()).endswith(b"/")
        peer.send(REQUEST.replace(b"/ ", b"/last "))
        assert (await peer.rest()).endswith(b"\r\n\r\n/last")


@pytest.mark.usefixtures("collecting")
async def test_pipelined_requests_are_answered_in_their_order() -> None:
    """Though each answer waits for the end of its turn."""
    app, _ = answering(lambda _: None)
    async with listening(app) as listener, listener.connect() as peer:
        paths = [b"/%d" % number for number in range(20)]
        peer.send(b"".join(REQUEST.replace(b"/ ", path + b" ") for path in paths))
        for path in paths:
            assert (await peer.answer()).endswith(b"\r\n\r\n" + path)
    await until(lambda: not listener.state.connections)
