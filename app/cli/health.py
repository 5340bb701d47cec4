"""What `awaitd health` does; standard library only."""

from app.cli.exits import EXIT_FAILED, EXIT_UNREACHABLE, say
from app.cli.server import server_url
from app.fetch import Unreachable, get


def check_health(url: str | None) -> int:
    """Ask the server whether it accepts work; gives the exit code."""
    try:
        status, body = get(server_url(url), "/readyz")
    except Unreachable as error:
        say(str(error))
        return EXIT_UNREACHABLE
    if status != 200:
        say(f"not ready: {_reason_in(body) or f'it answered {status}'}")
        return EXIT_FAILED
    print("ready")
    return 0


def _reason_in(body: bytes) -> str | None:
    import json

    try:
        return str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        return None
