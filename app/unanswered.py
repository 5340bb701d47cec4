"""Why a webhook got no answer, in words of ours: what is in an exception may be anybody's."""

import socket
import ssl
from collections import deque
from collections.abc import Iterator
from typing import Final

import httpx

from app.outbound import OutboundRefused

_REASONS: Final = (
    (OutboundRefused, "its address is not public"),
    ((httpx.TimeoutException, TimeoutError), "no answer in time"),
    ((socket.gaierror, UnicodeError), "its name has no address"),
    (ssl.SSLCertVerificationError, "its certificate is not trusted"),
    (ssl.SSLError, "it does not speak TLS as it should"),
    (ConnectionRefusedError, "the connection was refused"),
    (httpx.ConnectError, "no connection"),
    ((httpx.TransportError, OSError), "the connection broke"),
)
"""Why there was no answer, by what was raised or brought that about; the first that fits."""

_AGAIN: Final = socket.EAI_AGAIN
"""Who knows the names does not answer."""

_MAX_CAUSES: Final = 10


def reason_of(error: Exception) -> str:
    """Why there was no answer."""
    causes = list(_causes(error)) if isinstance(error, httpx.ConnectError) else [error]
    if any(isinstance(each, socket.gaierror) and each.errno == _AGAIN for each in causes):
        return "its name cannot be looked up now"
    for kind, reason in _REASONS:
        if any(isinstance(each, kind) for each in causes):
            return reason
    return "the request cannot be sent"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, and what it came of: of several addresses each may have been tried."""
    left = deque((error,))
    for _ in range(_MAX_CAUSES):
        if not left:
            return
        each = left.popleft()
        yield each
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions
        # httpcore's pool takes the cause of what it raises away, and leaves the context.
        before = each.__cause__ or each.__context__
        if before is not None:
            left.append(before)
