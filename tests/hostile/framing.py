"""Where a request begins and ends, and what two readers might disagree about."""

from typing import Final

from tests.hostile.case import (
    CHUNKED,
    CLOSED,
    HOST,
    JSON,
    NOT_HTTP,
    VALID,
    Case,
    chunked,
    get,
    post,
    request,
)

_LIVEZ: Final = get("/livez")
_SMUGGLED: Final = f"GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
_SIZE: Final = f"{len(VALID):x}\r\n".encode()
_END: Final = b"0\r\n\r\n"


def _framed(*headers: str, body: bytes = VALID) -> bytes:
    return request("POST /jobs HTTP/1.1", JSON, *headers, body=body)


_LENGTHS: Final = {
    "none where it is needed": ((), (400,)),
    "twice, the same": (("Content-Length: 36", "Content-Length: 36"), NOT_HTTP),
    "twice, different": (("Content-Length: 36", "Content-Length: 35"), NOT_HTTP),
    "a list": (("Content-Length: 36, 36",), NOT_HTTP),
    "negative": (("Content-Length: -1",), NOT_HTTP),
    "with a sign": (("Content-Length: +36",), NOT_HTTP),
    "in hexadecimal": (("Content-Length: 0x24",), NOT_HTTP),
    "with a fraction": (("Content-Length: 36.0",), NOT_HTTP),
    "with an underscore": (("Content-Length: 3_6",), NOT_HTTP),
    "in words": (("Content-Length: all",), NOT_HTTP),
    "empty": (("Content-Length: ",), NOT_HTTP),
    "of more than 64 bits": (("Content-Length: 99999999999999999999",), NOT_HTTP),
    "of nearly 64 bits": (("Content-Length: 18446744073709551615",), (413,)),
    "of 2**63": (("Content-Length: 9223372036854775808",), (413,)),
    "of the limit and one": (("Content-Length: 1048577",), (413,)),
    "in other digits": (("Content-Length: \xb2",), NOT_HTTP),
    "and chunked": (("Content-Length: 36", CHUNKED), NOT_HTTP),
    "chunked and a length": ((CHUNKED, "Content-Length: 36"), NOT_HTTP),
    "chunked and length 0": (("Content-Length: 0", CHUNKED), NOT_HTTP),
}

_CODINGS: Final = {
    "gzip": ("Transfer-Encoding: gzip", NOT_HTTP),
    "gzip, chunked": ("Transfer-Encoding: gzip, chunked", NOT_HTTP),
    "chunked, gzip": ("Transfer-Encoding: chunked, gzip", NOT_HTTP),
    "chunked, chunked": ("Transfer-Encoding: chunked, chunked", NOT_HTTP),
    "identity": ("Transfer-Encoding: identity", NOT_HTTP),
    "xchunked": ("Transfer-Encoding: xchunked", NOT_HTTP),
    "chunked with a parameter": ("Transfer-Encoding: chunked;a=b", NOT_HTTP),
    "in quotes": ('Transfer-Encoding: "chunked"', NOT_HTTP),
    "vertical tab": ("Transfer-Encoding: \x0bchunked", NOT_HTTP),
    "space before the colon": ("Transfer-Encoding : chunked", NOT_HTTP),
    "folded": ("Transfer-Encoding:\r\n chunked", NOT_HTTP),
    "empty": ("Transfer-Encoding: ", NOT_HTTP),
    "twice": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", NOT_HTTP),
    "twice, one unknown": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", NOT_HTTP),
    "comma": ("Transfer-Encoding: ,chunked", NOT_HTTP),
}

_CHUNKS: Final = {
    "as it should be": (_SIZE + VALID + b"\r\n" + _END, (202,)),
    "with a trailer": (_SIZE + VALID + b"\r\n0\r\nX: y\r\n\r\n", (202,)),
    "with an extension": (b"24;a=b\r\n" + VALID + b"\r\n" + _END, (202,)),
    "with a quoted extension": (b'24;a="b;\\""\r\n' + VALID + b"\r\n" + _END, (202,)),
    "with leading zeros": (b"00000024\r\n" + VALID + b"\r\n" + _END, (202,)),
    "byte by byte": (b"".join(b"1\r\n%c\r\n" % byte for byte in VALID) + _END, (202,)),
    "empty": (_END, (400,)),
    "of bare line feeds": (b"24\n" + VALID + b"\n0\n\n", NOT_HTTP),
    "negative": (b"-24\r\n" + VALID + b"\r\n" + _END, NOT_HTTP),
    "with a prefix": (b"0x24\r\n" + VALID + b"\r\n" + _END, NOT_HTTP),
    "with a space": (b"24 \r\n" + VALID + b"\r\n" + _END, NOT_HTTP),
    "with a space before": (b" 24\r\n" + VALID + b"\r\n" + _END, NOT_HTTP),
    "with a tab": (b"24\t\r\n" + VALID + b"\r\n" + _END, NOT_HTTP),
    "in words": (b"many\r\n" + VALID + b"\r\n" + _END, NOT_HTTP),
    "without a size": (b"\r\n" + VALID + b"\r\n" + _END, NOT_HTTP),
    "of 2**64": (b"10000000000000000\r\n" + VALID, NOT_HTTP),
    "too short a size": (b"23\r\n" + VALID + b"\r\n" + _END, NOT_HTTP),
    "too long a size": (b"25\r\n" + VALID + b"\r\n" + _END, NOT_HTTP),
    "without an end of the data": (_SIZE + VALID + _END, NOT_HTTP),
    "with a lone carriage return": (b"24\rX" + VALID, NOT_HTTP),
    "with a line feed in an extension": (b"24;a\nb\r\n" + VALID + b"\r\n" + _END, NOT_HTTP),
    "with NUL in an extension": (b"24;a\0b\r\n" + VALID + b"\r\n" + _END, NOT_HTTP),
    "with a folded trailer": (_SIZE + VALID + b"\r\n0\r\nX: y\r\n z\r\n\r\n", NOT_HTTP),
    "with a bad trailer": (_SIZE + VALID + b"\r\n0\r\nX y\r\n\r\n", NOT_HTTP),
    "with a request for a trailer": (_SIZE + VALID + b"\r\n0\r\n" + _SMUGGLED, NOT_HTTP),
    "with a long extension": (b"24;" + b"a" * 200_000, (431,)),
}

_LINES: Final = {
    "nothing but line ends": (b"\r\n\r\n\r\n", CLOSED),
    "line ends before": (b"\r\n\r\n" + _LIVEZ, (200,)),
    "bare line feeds": (_LIVEZ.replace(b"\r\n", b"\n"), NOT_HTTP),
    "bare carriage returns": (_LIVEZ.replace(b"\r\n", b"\r"), NOT_HTTP),
    "one bare line feed": (_LIVEZ.replace(b"\r\nHost", b"\nHost"), NOT_HTTP),
    "a line feed that ends the head": (_LIVEZ[:-2] + b"\n", NOT_HTTP),
    "HTTP/0.9": (b"GET /livez\r\n\r\n", NOT_HTTP),
    "HTTP/0.9, written out": (_LIVEZ.replace(b"/1.1", b"/0.9"), NOT_HTTP),
    "HTTP/1.2": (_LIVEZ.replace(b"/1.1", b"/1.2"), NOT_HTTP),
    "HTTP/2.0": (_LIVEZ.replace(b"/1.1", b"/2.0"), NOT_HTTP),
    "HTTP/11": (_LIVEZ.replace(b"/1.1", b"/11"), NOT_HTTP),
    "HTTP/1.10": (_LIVEZ.replace(b"/1.1", b"/1.10"), NOT_HTTP),
    "HTTP/1,1": (_LIVEZ.replace(b"/1.1", b"/1,1"), NOT_HTTP),
    "http/1.1": (_LIVEZ.replace(b"HTTP", b"http"), NOT_HTTP),
    "HTTP/1.0": (_LIVEZ.replace(b"/1.1", b"/1.0"), (200,)),
    "HTTP/1.0 without a Host": (b"GET /livez HTTP/1.0\r\n\r\n", (200,)),
    "HTTP/1.0, chunked": (
        chunked(_SIZE + VALID + b"\r\n" + _END).replace(b"/1.1", b"/1.0"),
        NOT_HTTP,
    ),
    "HTTP/2 as agreed beforehand": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NOT_HTTP),
    "HTTP/2 by upgrade": (
        request(
            "GET /livez HTTP/1.1",
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
        ),
        (200,),
    ),
    "a web socket": (
        request(
            "GET /events HTTP/1.1",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            "Last-Event-ID: x",
        ),
        (400,),
    ),
    "TLS": (bytes.fromhex("16030100c4010000c00303") + bytes(range(185)), NOT_HTTP),
    "SSH": (b"SSH-2.0-OpenSSH_9.9\r\n", NOT_HTTP),
    "SMTP": (b"EHLO evil.example\r\n", NOT_HTTP),
    "RTSP": (b"OPTIONS rtsp://a/b RTSP/1.0\r\nCSeq: 1\r\n\r\n", (404,)),
    "random bytes": (bytes((7 * i * i + 3) % 256 for i in range(4_000)), NOT_HTTP),
    "NUL": (b"\0" * 1_000, NOT_HTTP),
    "one letter": (b"G", CLOSED),
    "half a head": (_LIVEZ[:-2], CLOSED),
    "half a body": (post(VALID)[:-5], CLOSED),
    "half a chunk": (chunked(_SIZE + VALID[:5]), CLOSED),
    "a head of 1 MiB": (get("/livez", "X: " + "a" * 1_048_576), (431,)),
    "a head without an end": (_LIVEZ[:-2] + b"X: " + b"a" * 1_000_000, (431,)),
    "a target of 1 MiB": (get("/" + "a" * 1_048_576), (431,)),
    "1,000 fields": (get("/livez", *["X: y"] * 1_000), (431,)),
    "a long method": (b"A" * 100_000 + b" / HTTP/1.1\r\n\r\n", NOT_HTTP),
}

_KEPT: Final = _LIVEZ.replace(b"Connection: close\r\n", b"")

_SEQUENCES: Final = {
    "two": (_KEPT + _LIVEZ, (200, 200)),
    "a bad one after a good one": (_KEPT + b"\0", (200, 400)),
    "one after the last": (_LIVEZ + _SMUGGLED, (200,)),
    "a body that is a request": (
        post(_SMUGGLED).replace(b"Connection: close\r\n", b"") + _LIVEZ,
        (400, 200),
    ),
    "a body with GET": (
        _KEPT[:-2] + b"Content-Length: %d\r\n\r\n" % len(_SMUGGLED) + _SMUGGLED + _LIVEZ,
        (200, 200),
    ),
    "a length of 0 and a body": (_KEPT[:-2] + b"Content-Length: 0\r\n\r\n" + _LIVEZ, (200, 200)),
    "another after an upgrade": (
        _KEPT[:-2] + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n" + _LIVEZ,
        (200, 200),
    ),
    "a tunnel": (
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n" + _SMUGGLED,
        NOT_HTTP,
    ),
    "an answer for a request": (b"HTTP/1.1 200 OK\r\n\r\n" + _LIVEZ, NOT_HTTP),
}

_CUT: Final = {
    "nothing but line ends",
    "one letter",
    "half a head",
    "half a body",
    "half a chunk",
}

CASES: Final = [
    *(
        Case(f"length: {name}", _framed(*headers), statuses)
        for name, (headers, statuses) in _LENGTHS.items()
    ),
    *(
        Case(f"coding: {name}", _framed(header, body=_SIZE + VALID + b"\r\n" + _END), statuses)
        for name, (header, statuses) in _CODINGS.items()
    ),
    *(
        Case(f"chunk: {name}", chunked(body), statuses)
        for name, (body, statuses) in _CHUNKS.items()
    ),
    *(
        Case(f"line: {name}", data, statuses, cut=name in _CUT)
        for name, (data, statuses) in _LINES.items()
    ),
    *(Case(f"sequence: {name}", data, statuses) for name, (data, statuses) in _SEQUENCES.items()),
]
