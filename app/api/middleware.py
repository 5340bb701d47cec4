"""What holds for every answer, whichever route or error it comes from."""

from collections.abc import Callable
from typing import Final, TypeAlias

from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS: Final = (
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""Of every answer; no route sets them. A browser gets no more than it needs, since an answer may
hold what a stranger has submitted."""

HEAD: Final = "awaitd.head"
"""In the scope of a GET that was a HEAD, for those whose body would never end."""

_DEFAULTS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Of every answer that does not say otherwise."""

OnDefect: TypeAlias = Callable[[Request, Exception], Response]


class EveryAnswer:
    """HEAD answers as GET does, browsers get headers, and `on_defect` answers for a defect."""

    def __init__(self, app: ASGIApp, on_defect: OnDefect) -> None:
        self._app = app
        self._on_defect = on_defect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                complete(message["headers"])
            await send(message)

        try:
            await self._app(_for_routes(scope), receive, send_on)
        except ClientDisconnect:
            pass  # nobody is left to be answered
        except Exception as error:
            if started:
                raise
            await self._on_defect(Request(scope), error)(scope, receive, send_on)


def complete(headers: list[tuple[bytes, bytes]]) -> None:
    """Add what every answer has."""
    names = [header[0] for header in headers]
    headers += _HEADERS
    for header in _DEFAULTS:
        if header[0] not in names:
            headers.append(header)


def _for_routes(scope: Scope) -> Scope:
    """The scope, or a copy of it, as the routes are to see it.

    GET stands for HEAD: the server looks at its own scope and leaves the body out. A line end at
    the end of the path is doubled: a single one would pass the `$` of the routes' patterns.
    """
    if scope["method"] == "HEAD":
        scope = {**scope, "method": "GET", HEAD: True}
    if scope["path"].endswith("\n"):
        scope = {**scope, "path": scope["path"] + "\n"}
    return scope
