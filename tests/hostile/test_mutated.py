import asyncio
import os
import random
from collections.abc import Callable
from typing import Final

from tests.hostile.case import CHUNKED, HOST, JSON, VALID, chunked, get, post, request
from tests.hostile.wire import Call, exchange_all, judge
from tests.support.contract import Contract
from tests.support.server import Server

COUNT: Final = int(os.environ.get("MUTATED_REQUESTS", "500"))
SEED: Final = int(os.environ.get("MUTATED_SEED", "1"))

LAST: Final = b"\0" * 100_000
"""What follows each: it ends a body that was made longer, and is no request itself."""

SEEDS: Final = [
    get("/livez"),
    get("/jobs?status=completed&label=order:42&limit=10&created_after=2026-01-01T00:00:00Z"),
    get("/jobs/{job}", "Prefer: wait=1, return=minimal", 'If-None-Match: "1"'),
    get("/jobs/{job}/result", "Accept: */*"),
    get("/jobs/{job}/events", "Last-Event-ID: 99999999"),
    get("/tasks/echo"),
    get("/docs/init.js", "If-None-Match: a", "Range: bytes=0-1"),
    get("http://a.example/livez"),
    request("DELETE /jobs/{job} HTTP/1.1", 'If-Match: "7"', "Prefer: wait=1"),
    post(VALID, JSON, "Idempotency-Key: a", "Prefer: wait=1"),
    post(b'{"task":"sleep","params":{"seconds":0.1},"labels":{"a":"b"},"priority":1,"delay":0.5}'),
    post(b'{"copy_of":"{job}","timeout":1e2}', target="/jobs?validate_only=true"),
    post('"ä\\ud83d\\ude00"[{}]'.encode(), JSON, "Expect: 100-continue"),
    chunked(b"c;a=b\r\n", VALID[:12], b"\r\n18\r\n", VALID[12:], b"\r\n0\r\nX: y\r\n\r\n"),
    get("/livez", "Connection: upgrade", "Upgrade: h2c", CHUNKED) + b"0\r\n\r\n",
]

TOKENS: Final = [b"\r\n", b"\r", b"\n", b"\0", b" ", b":", b",", b"%00", b"\xff", b"{", b"[", b'"']


def mutated(dice: random.Random, seeds: list[bytes]) -> bytes:
    """A request with a few bytes flipped, dropped, doubled or taken from another."""
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.randint(1, 4)):
        start = dice.randrange(len(data) + 1)
        end = min(len(data), start + dice.choice([1, 1, 2, 5, 20, 100]))
        match dice.randrange(6):
            case 0:
                if start < len(data):
                    data[start] ^= 1 << dice.randrange(8)
            case 1:
                del data[start:end]
            case 2:
                data[start:start] = data[start:end] * dice.choice([1, 1, 2, 50])
            case 3:
                other = dice.choice(seeds)
                data[start:end] = other[dice.randrange(len(other)) :][: dice.randint(1, 50)]
            case 4:
                data[start:start] = dice.choice(TOKENS) * dice.choice([1, 1, 2, 30])
            case _:
                data[start:start] = dice.randbytes(dice.randint(1, 8))
        data = data or bytearray(b"\r\n")
    return bytes(data)


def test_mutated_requests_do_no_harm(
    server: Server, contract: Contract, job_id: str, is_unharmed: Callable[[], bool]
) -> None:
    """Whatever becomes of a request by chance, its answer is a designed one and nothing breaks."""
    dice = random.Random(SEED)
    # By chance the name of the host would end up where it may well come back.
    seeds = [s.replace(b"{job}", job_id.encode()).replace(HOST.encode(), b"a") for s in SEEDS]
    requests = [mutated(dice, seeds) for _ in range(COUNT)]
    calls = [Call(data + LAST, patience=3) for data in requests]  # some wait for more, as they may
    answers = asyncio.run(exchange_all(server.url, calls))
    complaints = []
    for data, found in zip(requests, answers, strict=True):
        try:
            if isinstance(found, BaseException):
                raise found
            for answer in found:
                judge(answer, "", "", contract)
        except Exception as error:
            complaints.append(f"{data!r}: {error!r}"[:2_000])
    assert not complaints, "\n".join(complaints[:10])
    assert sum(map(len, answers)) > COUNT / 2
    assert is_unharmed()
