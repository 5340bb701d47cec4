import json
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.support.raw import connect, exchange
from tests.support.server import Server

JSON = {"Content-Type": "application/json"}
GOOD = b'{"task":"echo","params":{"value":1}}'


def echo(value: bytes) -> bytes:
    """A submission of `echo` with this JSON text."""
    return b'{"task":"echo","params":{"value":%s}}' % value


def slug_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and slug of an answer that is a problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(GOOD + b"x", id="trailing text"),
        pytest.param(b"{'task':'echo'}", id="single quotes"),
        pytest.param(b'{"task":"echo",}', id="trailing comma"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"\xff\xfe\x00", id="no UTF-8"),
        pytest.param(GOOD.decode().encode("utf-16"), id="UTF-16"),
        pytest.param(b"\xef\xbb\xbf" + GOOD, id="byte order mark"),
        pytest.param(b'{"task":"echo","task":"echo","params":{"value":1}}', id="duplicate key"),
        pytest.param(echo(b'{"a":1,"\\u0061":2}'), id="duplicate key, escaped and nested"),
        pytest.param(echo(b"NaN"), id="NaN"),
        pytest.param(echo(b"-Infinity"), id="infinity"),
        pytest.param(echo(b"1e999"), id="beyond a double"),
        pytest.param(echo(b"18446744073709551616"), id="65 bits"),
        pytest.param(echo(b"-9223372036854775809"), id="minus 65 bits"),
        pytest.param(echo(b"1" * 5_000), id="5,000 digits"),
        pytest.param(echo(b'"\\ud800"'), id="lone surrogate"),
        pytest.param(echo(b'{"\\udfff":1}'), id="lone surrogate in a key"),
        pytest.param(echo(b"\xed\xa0\x80"), id="surrogate in UTF-8"),
        pytest.param(echo(b'"\n"'), id="control character"),
        pytest.param(echo(b"[" * 63 + b"]" * 63), id="65 levels"),
        pytest.param(echo(b"[" * 100_000 + b"]" * 100_000), id="100,000 levels"),
        pytest.param(echo(b'{"a":' * 50_000 + b"1" + b"}" * 50_000), id="50,000 objects deep"),
    ],
)
def test_broken_json_is_400(client: httpx.Client, body: bytes) -> None:
    """A body that is not one strict, finite and flat enough JSON object is `invalid-json`."""
    answer = client.post("/jobs", content=body, headers=JSON)
    assert slug_of(answer) == (400, "invalid-json")


@pytest.mark.parametrize(
    "value",
    [
        b"18446744073709551615",
        b"-9223372036854775808",
        b"[" * 62 + b"]" * 62,
        b"[" + b",".join([b"[]"] * 1_000) + b"]",
        b'"\\ud83d\\ude00 \\u0000 \xc3\xa9"',
        b"1.7976931348623157e308",
        b'{"":{"a b":null}}',
        b"true",
    ],
)
def test_unusual_json_comes_back_as_it_is(client: httpx.Client, value: bytes) -> None:
    """What is valid, at its very limits too, goes through params and result unharmed."""
    answer = client.post("/jobs", content=echo(value), headers=JSON | {"Prefer": "wait=10"})
    assert answer.status_code == 200
    assert answer.json()["params"] == {"value": json.loads(value)}
    assert answer.json()["result"] == json.loads(value)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json;charset=iso-8859-1",
    ],
)
def test_not_json_is_415_with_a_hint(client: httpx.Client, content_type: str) -> None:
    """A body that is not declared as JSON in UTF-8 is refused, with what curl's user must do."""
    headers = {"Content-Type": content_type} if content_type else {}
    answer = client.post("/jobs", content=GOOD, headers=headers)
    assert slug_of(answer) == (415, "unsupported-media-type")
    assert "curl" in answer.json()["detail"]
    assert "--json" in answer.json()["detail"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json;charset=UTF-8",
        'Application/JSON; charset="utf-8"',
        "application/vnd.acme.job+json",
    ],
)
def test_json_by_other_names_is_accepted(client: httpx.Client, content_type: str) -> None:
    """Parameters, case and `+json` types do not matter."""
    answer = client.post("/jobs", content=GOOD, headers={"Content-Type": content_type})
    assert answer.status_code == 202


def test_a_compressed_body_is_415(client: httpx.Client) -> None:
    """A Content-Encoding is refused before anything is made of the bytes."""
    answer = client.post("/jobs", content=GOOD, headers=JSON | {"Content-Encoding": "gzip"})
    assert slug_of(answer) == (415, "unsupported-media-type")


def in_parts(size: int) -> Iterator[bytes]:
    """So many bytes of space, a bit at a time."""
    for _ in range(size // 65_536):
        yield b" " * 65_536


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_is_413(client: httpx.Client, chunked: bool) -> None:
    """More than the limit, declared or sent in chunks, is refused with the limit; all goes on."""
    size = 4 << 20
    body: bytes | Iterator[bytes] = in_parts(size) if chunked else b" " * size
    answer = client.post("/jobs", content=body, headers=JSON)
    assert slug_of(answer) == (413, "payload-too-large")
    assert answer.json()["limit"] == 1 << 20
    assert client.get("/livez").status_code == 200


def test_the_limit_is_to_the_byte(hasty: Server) -> None:
    """A body of exactly the limit is read; one more byte is too large, however it is sent."""
    client, whole = hasty.client, GOOD.ljust(1_000)
    assert client.post("/jobs", content=whole, headers=JSON).status_code == 202
    assert client.post("/jobs", content=iter([whole]), headers=JSON).status_code == 202
    assert client.post("/jobs", content=whole + b" ", headers=JSON).status_code == 413
    assert client.post("/jobs", content=iter([whole, b" "]), headers=JSON).status_code == 413


def test_a_declared_length_is_refused_before_the_body(server: Server) -> None:
    """Who announces too much gets the problem without sending it."""
    head = """POST /jobs HTTP/1.1
Host: awaitd
Content-Type: application/json
Content-Length: 99999999999
Connection: close

"""
    status, headers, _ = exchange(server.url, head)
    assert (status, headers["content-type"]) == (413, "application/problem+json")


def test_a_client_that_leaves_while_sending_is_no_defect(server: Server) -> None:
    """An upload that breaks off makes no job, and no traceback in the log."""
    before = len(server.log)
    with closing(connect(server.url)) as connection:
        connection.sendall(
            b"POST /jobs HTTP/1.1\r\nHost: awaitd\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n" + GOOD
        )
        time.sleep(0.05)  # it has begun to read
    assert server.client.get("/livez").status_code == 200
    assert "Traceback" not in server.log[before:]
