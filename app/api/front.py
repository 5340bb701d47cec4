"""A short way to the routes that take nothing from FastAPI but their declaration.

FastAPI stands for what most services ask of a request: models, dependencies, files. Most routes of
ours ask for the request and at most one part of its path, and return a ready answer: then their
functions are called at once, in a tenth of the time. Which ones are such is read off their
declarations; they are answered alike by either way, and whatever is not known here FastAPI answers.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from inspect import iscoroutinefunction, signature
from time import perf_counter
from typing import Final

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import answer_to
from app.api.replies import WHOLE, Reply, complete
from app.api.requests import STATE, ApiState
from app.api.traffic import GONE, ByStatus, Traffic, by_status
from app.log_context import request_here

_SHAPE: Final = re.compile(r"/(?:[^/{}]+(?:/\{(\w+)\}(?:/[^{}]+)?)?)?")
"""The paths that are looked up: one part, and maybe one that varies, and maybe more."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A route's function, and what it asks for."""

    endpoint: Callable[..., Awaitable[Response]]
    part: str | None
    """What the part of the path that varies is called."""
    asks: slice
    """Which of that part and the request, in this order."""
    answered: ByStatus = field(default_factory=by_status)


class _Request(Request):
    """A request as FastAPI makes them; what all have at first is set once, and not for each."""

    _stream_consumed = _is_disconnected = False
    _form = None

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send


class Front:
    """Answers the requests of `routes` that it can, and leaves all others to `otherwise`.

    Hands the state to the routes, whichever way they are reached.
    """

    def __init__(self, state: ApiState, routes: Sequence[BaseRoute], otherwise: ASGIApp) -> None:
        self._state = state
        self._calls = dict(_calls_of(routes, state.traffic))
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope[STATE] = self._state
        send_whole = scope.pop(WHOLE, None)  # not left there, for it leads back to the scope
        request_here.set(scope)
        call, part = self._find(scope)
        if call is None:
            await self._otherwise(scope, receive, send)
            return
        begin = perf_counter()
        request = _Request(scope, receive, send)
        try:
            try:
                response = await call.endpoint(*(part, request)[call.asks])
            except ClientDisconnect:
                raise
            except Exception as error:
                response = answer_to(request, error)
            is_reply = isinstance(response, Reply)
            if not (is_reply and send_whole is not None and send_whole(response)):
                if not is_reply:
                    complete(response.raw_headers)
                await response(scope, receive, send)
            call.answered[response.status_code].add(perf_counter() - begin)
        except ClientDisconnect:
            call.answered[GONE].add(perf_counter() - begin)

    def _find(self, scope: Scope) -> tuple[_Call | None, str]:
        """The call for a request, and the part of its path that varies."""
        if scope["type"] != "http" or scope.get("root_path"):
            return None, ""
        path = scope["path"]
        parts = path.split("/", 3)
        if len(parts) < 3:
            return self._calls.get((scope["method"], path)), ""
        part = parts[2]
        if not part or part[-1] == "\n":  # which is no end of a line to the routes' patterns
            return None, ""
        parts[2] = "{}"
        return self._calls.get((scope["method"], "/".join(parts))), part


def _calls_of(
    routes: Sequence[BaseRoute], traffic: Traffic
) -> Iterator[tuple[tuple[str, str], _Call]]:
    """The calls by method and path, with `{}` in the place of the part that varies.

    Where a first part of paths leads to any route that has to be left to FastAPI, all are: which of
    several routes a request belongs to is not decided here.
    """
    found = [(context, _call_of(context)) for context in iter_route_contexts(routes)]
    left = {_first_part(context) for context, call in found if call is None}
    for context, call in reversed(found):  # so that the first of several has the last word
        if call is not None and not left & {_first_part(context), ""}:
            path = (context.path or "").replace(f"{{{call.part}}}", "{}")
            for method in (context.methods or set()) - {"HEAD"}:
                answered = traffic.answers[method, context.path or ""]
                yield (method, path), replace(call, answered=answered)


def _first_part(context: RouteContext) -> str:
    """The first part of a route's path; empty when that may be any."""
    first = (context.path or "").split("/")[1:2]
    return "" if not first or "{" in first[0] else first[0]


def _call_of(context: RouteContext) -> _Call | None:
    """How to call a route's function; None when it takes more from FastAPI.

    It takes the part of the path before the request, as it is called by position.
    """
    shape = _SHAPE.fullmatch(context.path or "")
    if shape is None or not isinstance(context.original_route, APIRoute):
        return None
    function = context.original_route.endpoint
    needs, takes = context.original_route.dependant, signature(function)
    parts = {
        field.name
        for field in needs.path_params
        if field.field_info.annotation is str and not field.field_info.metadata
    }
    part, request = shape[1], needs.request_param_name
    is_plain = (
        iscoroutinefunction(function)
        and issubclass(takes.return_annotation, Response)
        and not context.dependencies
        and list(takes.parameters) == [name for name in (part, request) if name is not None]
        and parts == {part} - {None}
    )
    asks = slice(1 if part is None else 0, 1 if request is None else 2)
    return _Call(function, part, asks) if is_plain else None
