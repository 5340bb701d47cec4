"""Where the server is, and with which key it is asked; standard library only."""

import os
from typing import Final
from urllib.parse import urlsplit

_WILDCARDS: Final = frozenset({"", "0.0.0.0", "::"})


def server_url(url: str | None) -> str:
    """What is given, else AWAITD_URL, else where `awaitd serve` with this environment listens."""
    return url or os.environ.get("AWAITD_URL") or _local_url()


def is_url(url: str) -> bool:
    """Whether a server can be there."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of an address or a port that is none
        return False


def authorization() -> dict[str, str]:
    """The header that says who asks, where there is a key."""
    key = os.environ.get("AWAITD_API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _local_url() -> str:
    host = os.environ.get("AWAITD_HOST", "").strip("[]")
    if host in _WILDCARDS:
        host = "127.0.0.1"
    port = os.environ.get("AWAITD_PORT") or "8000"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
