"""Where webhooks may go: what can be told from a URL alone, before anything is sent to it.

What its name stands for is judged by the outbound guard, at each connection.
"""

import re
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

import httpx

from app.outbound import OutboundPolicy

_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]+")
_PRINTABLE: Final = re.compile(r"[!-~]*")


def receiver_of(url: str, policy: OutboundPolicy) -> str:
    """The host and port of a URL for webhooks; raises ValueError with what is wrong with it."""
    if not _PRINTABLE.fullmatch(url):
        raise ValueError("is no URL: it has characters that are written as %… or xn--…")
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"is no URL: {error}") from error
    host = parts.raw_host.decode("ascii")
    port = _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    if parts.scheme not in _PORTS:
        raise ValueError("is no URL of http or https")
    if not _HOST.fullmatch(host):
        raise ValueError("has no host" if not host else "has a host that is none")
    if not 0 < port < 1 << 16:
        raise ValueError("has a port that is none")
    if parts.userinfo:
        raise ValueError("has a user or a password, which are not sent: use a path nobody guesses")
    address = None
    with suppress(ValueError):
        address = ip_address(host)
    if address is not None and not policy.allows(host, address):
        raise ValueError(
            "has an address that is not public (the setting AWAITD_OUTBOUND_ALLOW lists what is "
            "let through all the same)"
        )
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
