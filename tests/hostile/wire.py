"""Sending bytes as they are, reading all that comes back, and judging it."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from tests.hostile.case import HOST
from tests.support.contract import Contract

AT_ONCE: Final = 20
HANGS_AFTER: Final = 40.0

DESIGNED: Final = {200, 202, 204, 304} | {400, 404, 405, 408, 409, 410, 412, 413, 415, 422, 424}
DESIGNED_TOO: Final = {429, 431}

_TELLTALES: Final = re.compile(
    rb"0x[0-9a-f]{6,}|Traceback|\.py\", line|site-packages|File \"|object at|<class|/usr/|/tmp/"
)
"""What no answer to a stranger may hold: addresses, paths and frames of this process."""

_URL: Final = re.compile(r"/[!-\"$-~]{0,1000}")

_MEMBERS: Final = {"type", "title", "status", "detail", "instance"}


@dataclass(frozen=True)
class Answer:
    """One answer on a connection."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes


class Hang(AssertionError):
    """Raised when a server neither answers nor closes."""


@dataclass(frozen=True)
class Call:
    """What to send on one connection; who sends it leaves after `patience` seconds."""

    request: bytes
    method: str = ""
    patience: float = HANGS_AFTER


async def exchange(url: str, call: Call) -> list[Answer]:
    """All answers to what is sent, until the server closes the connection."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 22)
    try:
        async with asyncio.timeout(HANGS_AFTER):
            sending = asyncio.ensure_future(_send(writer, call.request))
            received = await _receive(reader, writer, call.patience)
            await sending
    except TimeoutError:
        raise Hang(f"no end of the answer to {call.request[:200]!r}") from None
    finally:
        writer.transport.abort()
    return parse(received, call.method)


async def exchange_all(url: str, calls: Sequence[Call]) -> list[Any]:
    """The answers to each of them, or what went wrong, some sent at the same time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(call: Call) -> list[Answer]:
        async with room:
            return await exchange(url, call)

    return await asyncio.gather(*map(one, calls), return_exceptions=True)


async def _send(writer: asyncio.StreamWriter, request: bytes) -> None:
    try:
        writer.write(request)
        await writer.drain()
    except OSError:
        pass  # refused before all of it was sent


async def _receive(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: float
) -> bytes:
    received = b""
    timer = asyncio.get_running_loop().call_later(patience, _leave, writer)
    try:
        while data := await reader.read(1 << 16):
            received += data
    except OSError:
        pass  # a reset: what came before it counts
    finally:
        timer.cancel()
    return received


def _leave(writer: asyncio.StreamWriter) -> None:
    if not writer.is_closing():
        writer.write_eof()


def parse(received: bytes, method: str = "") -> list[Answer]:
    """The answers in what was received; raises `AssertionError` when it is no HTTP."""
    answers = []
    while received:
        if received.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
            received = received.partition(b"\r\n\r\n")[2]
            continue
        head, end, rest = received.partition(b"\r\n\r\n")
        assert end, f"half an answer: {received[:200]!r}"
        line, *lines = head.decode("latin-1").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.1 (\d{3}) [A-Z][A-Za-z -]*", line)
        assert found, f"no answer: {line[:200]!r}"
        headers = [(name, value) for name, _, value in (text.partition(": ") for text in lines)]
        status = int(found[1])
        body, rest = _body(dict(headers), status, rest, method)
        answers.append(Answer(status, headers, body, received[: len(received) - len(rest)]))
        received = rest
    return answers


def _body(headers: dict[str, str], status: int, rest: bytes, method: str) -> tuple[bytes, bytes]:
    if method == "HEAD" or status in (204, 304):
        return b"", rest
    if "content-length" in headers:
        length = int(headers["content-length"])
        assert len(rest) >= length, "the body is cut off"
        return rest[:length], rest[length:]
    assert headers.get("transfer-encoding") == "chunked", headers
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body, rest = body + rest[:length], rest[length + 2 :]
        if not length:
            return body, rest


def judge(answer: Answer, method: str, target: str, contract: Contract) -> None:
    """Raise `AssertionError` when an answer is none that the service may ever give."""
    assert answer.status in DESIGNED | DESIGNED_TOO, answer
    assert not (found := _TELLTALES.search(answer.raw)), found
    assert HOST.encode() not in answer.raw, "the Host header comes back"
    names = [name for name, _ in answer.headers]
    assert len(names) == len(set(names)), "a header stands there twice"
    assert dict(answer.headers)["x-content-type-options"] == "nosniff"
    assert "server" not in names
    if answer.status >= 400 and method != "HEAD":
        problem = json.loads(answer.body)
        assert problem.keys() >= _MEMBERS
        assert problem["status"] == answer.status
        contract.require_valid(problem, {"$ref": "#/components/schemas/Problem"})
    url = httpx.URL("http://awaitd" + target) if _URL.fullmatch(target) else None
    if url is not None and url.raw_path.decode() == target:  # else it was made a better one
        request = httpx.Request(method, url)
        contract.check(
            httpx.Response(
                answer.status, headers=answer.headers, content=answer.body, request=request
            )
        )
