import socket
import ssl

import httpx
import pytest

from app.unanswered import reason_of


def connect_error(*causes: Exception) -> httpx.ConnectError:
    """An error of connecting, which came of these."""
    error = httpx.ConnectError("All connection attempts failed")
    error.__context__ = ExceptionGroup("several addresses", causes)
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (connect_error(ConnectionRefusedError()), "the connection was refused"),
        (connect_error(OSError(), ssl.SSLError()), "it does not speak TLS as it should"),
        (
            connect_error(socket.gaierror(socket.EAI_NONAME, "no such name")),
            "its name has no address",
        ),
        (
            connect_error(socket.gaierror(socket.EAI_AGAIN, "no answer")),
            "its name cannot be looked up now",
        ),
        (connect_error(OSError("host unreachable")), "no connection"),
    ],
    ids=["refused", "TLS", "no name", "no names now", "unreachable"],
)
def test_each_address_has_its_reason(error: httpx.ConnectError, reason: str) -> None:
    """Why there was no connection is said, also when several addresses were tried."""
    assert reason_of(error) == reason
