"""What holds for every answer, whichever route or error it comes from."""

from collections.abc import Callable
from time import perf_counter
from typing import Final, TypeAlias

from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.replies import Fields, complete
from app.api.requests import STATE
from app.api.traffic import GONE

HEAD: Final = "awaitd.head"
"""In the scope of a GET that was a HEAD, for those whose body would never end."""

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
        begin, status, routed = perf_counter(), 0, _for_routes(scope)

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not isinstance(message["headers"], Fields):
                    complete(message["headers"])
            await send(message)

        try:
            await self._app(routed, receive, send_on)
        except ClientDisconnect:
            status = status or GONE
        except Exception as error:
            if status:
                raise
            await self._on_defect(Request(scope), error)(scope, receive, send_on)
        finally:
            _count(scope, routed, status, begin)


def _count(scope: Scope, routed: Scope, status: int, begin: float) -> None:
    """Count the answer, if there was one and the request got as far as the routes."""
    if status and STATE in scope:
        scope[STATE].traffic.answered(scope["method"], routed.get("route"), status, begin)


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
