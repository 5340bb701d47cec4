"""Why a webhook got no answer, in words of ours: what is in an exception may be anybody's."""

import socket
import ssl
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

_MAX_CAUSES: Final = 10


def reason_of(error: Exception) -> str:
    """Why there was no answer."""
    causes = list(_causes(error)) if isinstance(error, httpx.ConnectError) else [error]
    for kind, reason in _REASONS:
        if any(isinstance(each, kind) for each in causes):
            return reason
    return "the request cannot be sent"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, and what it came of."""
    for _ in range(_MAX_CAUSES):
        if error is None:
            return
        yield error
        # httpcore's pool takes the cause of what it raises away, and leaves the context.
        error = error.__cause__ or error.__context__
