"""What holds for every answer, whichever route or error it comes from."""

from collections.abc import Callable
from typing import TypeAlias

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OnDefect: TypeAlias = Callable[[Request, Exception], Response]


class EveryAnswer:
    """HEAD answers as GET does, browsers guess no types, and `on_defect` answers for a defect."""

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
                MutableHeaders(scope=message).setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        try:
            await self._app(_without_head(scope), receive, send_on)
        except ClientDisconnect:
            pass  # nobody is left to be answered
        except Exception as error:
            if started:
                raise
            await self._on_defect(Request(scope), error)(scope, receive, send_on)


def _without_head(scope: Scope) -> Scope:
    """GET for HEAD, in a copy: the server looks at its own scope and leaves the body out."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
