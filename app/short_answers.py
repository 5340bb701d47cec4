"""Connections over which only short answers come.

A server can send lines of a head for as long as it is read, each of which takes time of the event
loop; so who needs no more than a status reads little at a time, and little in all.
"""

import ssl
from typing import Any, Final

import httpcore

_AT_ONCE: Final = 2_048
"""Bytes that are looked at before others have their turn: a few milliseconds, at the worst."""


def shortened(stream: httpcore.AsyncNetworkStream, most: int | None) -> httpcore.AsyncNetworkStream:
    """The connection, over which no answer of more than so many bytes is read; None is no limit."""
    return stream if most is None else _ShortAnswers(stream, most)


class _ShortAnswers(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream, most: int) -> None:
        self._stream = stream
        self._most = most
        self._left = most

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._left <= 0:
            raise httpcore.ReadError("the answer is too long")
        found = await self._stream.read(min(max_bytes, _AT_ONCE), timeout)
        self._left -= len(found)
        return found

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._left = self._most  # another request, another answer
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _ShortAnswers(stream, self._most)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
