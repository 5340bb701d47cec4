"""One hostile request: its bytes, and the statuses of all that must come back."""

from dataclasses import dataclass
from typing import Final

HOST: Final = "evil.example"
"""No answer may know it."""

JSON: Final = "Content-Type: application/json"
CLOSE: Final = "Connection: close"
CHUNKED: Final = "Transfer-Encoding: chunked"

VALID: Final = b'{"task":"echo","params":{"value":1}}'

NOT_HTTP: Final = (400,)
CLOSED: Final = ()


@dataclass(frozen=True)
class Case:
    """`cut` says that the client stops in the middle, and so may be left without an answer."""

    name: str
    request: bytes
    statuses: tuple[int, ...]
    cut: bool = False

    @property
    def method(self) -> str:
        """The first word."""
        return self._words[0]

    @property
    def target(self) -> str:
        """The second word of the first line; empty when more than one request is sent."""
        return self._words[1] if len(self.statuses) == 1 and len(self._words) > 1 else ""

    @property
    def _words(self) -> list[str]:
        return self.request.partition(b"\r\n")[0].decode("latin-1").split(" ")


def as_bytes(text: str | bytes) -> bytes:
    """The bytes of a text; latin-1, so that every byte can be written."""
    return text if isinstance(text, bytes) else text.encode("latin-1")


def request(line: str | bytes, *headers: str | bytes, body: bytes = b"") -> bytes:
    """The bytes of a request with a Host, closing what is left open."""
    lines = [as_bytes(line), b"Host: " + HOST.encode(), *map(as_bytes, headers)]
    return b"\r\n".join([*lines, CLOSE.encode(), b"", body])


def get(target: str | bytes, *headers: str | bytes) -> bytes:
    """GET of a target."""
    return request(b"GET " + as_bytes(target) + b" HTTP/1.1", *headers)


def post(body: bytes, *headers: str | bytes, target: str = "/jobs") -> bytes:
    """POST of a body of which the length is told."""
    length = f"Content-Length: {len(body)}"
    return request(f"POST {target} HTTP/1.1", *(headers or (JSON,)), length, body=body)


def chunked(*parts: bytes, headers: tuple[str, ...] = (JSON,)) -> bytes:
    """POST of a body in chunks, which are written as they are."""
    return request("POST /jobs HTTP/1.1", *headers, CHUNKED, body=b"".join(parts))
