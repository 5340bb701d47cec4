"""The life of jobs as server-sent events: states, not history, and resumable."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from msgspec.structs import replace
from starlette.types import Receive, Scope, Send

from app.api import describe
from app.api.filters import REPEATABLE, filters_of
from app.api.middleware import HEAD
from app.api.problems import Problem
from app.api.render import job_json
from app.api.requests import (
    ApiState,
    header,
    require_known_query,
    require_room,
    root_of,
    state_of,
)
from app.api.security import Caller, caller_of, job_seen_by
from app.jobs.errors import StoreUnavailable
from app.jobs.events import EventKind, JobEvent, Watch
from app.jobs.texts import to_json
from app.jobs.times import rfc3339
from app.keys import READ

router = APIRouter(tags=["events"])

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy that collects the answer would hold the events back
}


@router.get(
    "/jobs/{job_id}/events",
    operation_id="get_job_events",
    response_class=StreamingResponse,
    summary="A job's life, as server-sent events",
    responses=describe.streaming(
        "invalid-parameter",
        "too-many-waiters",
        "job-not-found",
        "job-expired",
        "store-unavailable",
        ends="The job has ended, and the caller has been told.",
    ),
    openapi_extra=describe.parameters("last_event_id"),
)
async def get_job_events(job_id: describe.JobId, request: Request) -> Response:
    """`status` and `done` with the job, `progress` and `log` as the coroutine reports them.

    The stream ends with the job. Resumed past that, the answer is 204, which stops a browser.
    """
    caller = caller_of(request, READ)
    job = await job_seen_by(caller, job_id, request)
    require_known_query(request)
    since = _last_event_id(request)
    if job.done and since is not None and since >= job.version:
        return Response(None, 204, _HEADERS)
    return await _stream(Watch(job_id=job.id, since=since), request, caller)


@router.get(
    "/events",
    operation_id="get_events",
    response_class=StreamingResponse,
    summary="The life of all jobs, as server-sent events",
    responses=describe.streaming("invalid-parameter", "too-many-waiters", "store-unavailable"),
    openapi_extra=describe.parameters(*REPEATABLE, "last_event_id"),
)
async def get_events(request: Request) -> Response:
    """The same for all jobs that match the filters, from now on or from `Last-Event-ID` on."""
    caller = caller_of(request, READ)
    require_known_query(request, repeatable=REPEATABLE)
    query = replace(filters_of(request), owner=caller.sees)
    return await _stream(Watch(query=query, since=_last_event_id(request)), request, caller)


async def _stream(watch: Watch, request: Request, caller: Caller) -> Response:
    state = state_of(request)
    if HEAD in request.scope:
        return Response(None, 200, _HEADERS, "text/event-stream")
    require_room(state.streams, state.limits.max_streams, "streams are open")
    events = state.engine.watch(watch)
    opening = None
    if watch.job_id is None:  # it begins with something at once, or the store does not answer
        with _counted(state):
            opening = await anext(events)
    frames = _frames(opening, events, request, caller)
    return _Counted(frames, 200, _HEADERS, "text/event-stream")


@contextlib.contextmanager
def _counted(state: ApiState) -> Iterator[None]:
    state.streams += 1
    try:
        yield
    finally:
        state.streams -= 1


class _Counted(StreamingResponse):
    """A stream that counts as open from its first byte to its end, however it ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with _counted(state_of(Request(scope))):
            await super().__call__(scope, receive, send)


async def _frames(
    opening: JobEvent | None,
    events: AsyncGenerator[JobEvent, None],
    request: Request,
    caller: Caller,
) -> AsyncIterator[bytes]:
    """The events as text, for as long as the caller's key holds and the store answers.

    Who watches comes again then, and is answered with the reason.
    """
    keys, root = state_of(request).keys, root_of(request)
    async with contextlib.aclosing(events):
        if opening is not None:
            yield _frame(opening, root)
        with contextlib.suppress(StoreUnavailable):
            async for event in events:
                if not keys.still_allows(caller.key, READ):
                    return
                yield _frame(event, root)


def _frame(event: JobEvent, root: str) -> bytes:
    if event.kind is EventKind.ALIVE:
        return b":\n\n"
    number = b"" if event.version is None else b"id: %d\n" % event.version
    if event.kind is EventKind.POSITION:
        return number + b"\n"
    return number + b"event: %s\ndata: %s\n\n" % (event.kind.encode(), _data(event, root))


def _data(event: JobEvent, root: str) -> bytes:
    if event.job is not None:
        return job_json(event.job, minimal=True, root=root)
    members = {"job": None if event.job_id is None else str(event.job_id)}
    if event.progress is not None:
        return to_json(
            members | {"fraction": event.progress.fraction, "message": event.progress.message}
        )
    if event.line is not None:
        line = event.line
        return to_json(
            members | {"time": rfc3339(line.time), "message": line.message, "attempt": line.attempt}
        )
    return b"{}"


def _last_event_id(request: Request) -> int | None:
    """The change number to resume from; raises `Problem` when it is none."""
    text = header(request, b"last-event-id")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Problem("invalid-parameter", "Last-Event-ID is an id of this server's events")
    return int(text)
