"""What every route asks of its request."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

from fastapi import Request
from starlette.requests import ClientDisconnect

from app.api.preferences import Preferences, preferences_of
from app.api.problems import Problem
from app.api.rates import Rates
from app.api.replies import FIELDS
from app.api.traffic import ByStatus, Traffic
from app.jobs.deliveries import DeliveryFigures
from app.jobs.engine import Engine
from app.jobs.figures import Figures
from app.jobs.ids import id_in
from app.jobs.models import Job
from app.jobs.registry import TaskRegistry
from app.keys import Keys

STATE: Final = "awaitd.state"
"""Where in a request's scope the state is."""

_UNWATCHED: Final = 0.05
"""Seconds of waiting before it is worth to look whether the caller is still there."""

RETRY_AFTER: Final = 5
"""Seconds until one who found no room may ask again."""

_NO_PREFERENCES: Final = Preferences()

MetricsOf: TypeAlias = Callable[
    [Figures, DeliveryFigures, Mapping[tuple[str, str], ByStatus]], bytes
]
"""Writes the figures, and the answers by method and route, for Prometheus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLimits:
    """What requests may ask for at most: bytes, seconds, and how many at once."""

    max_body_size: int
    max_wait: float
    max_waiters: int
    max_streams: int
    rate_of_owner: float | None = None
    """Submissions a second."""


class ApiState:
    """What the composition root hands to the routes, as `app.state.api`."""

    def __init__(
        self,
        engine: Engine,
        registry: TaskRegistry,
        keys: Keys,
        metrics_of: MetricsOf,
        limits: ApiLimits,
    ) -> None:
        self.engine = engine
        self.registry = registry
        self.keys = keys
        self.metrics_of = metrics_of
        self.limits = limits
        self.traffic = Traffic()
        self.rates = Rates(limits.rate_of_owner)
        self.traceparent_here: Callable[[], str | None] | None = None
        """The `traceparent` of the span of the request that is being answered; None if there are
        no spans."""
        self.fingerprint_key = b""
        """What makes fingerprints of submissions no guess; read when the service opens."""
        self.receiver_of: Callable[[str], str] | None = None
        """The receiver of a webhook's URL, or ValueError; None where nothing signs webhooks."""
        self.waiters = 0
        """How many requests wait for a job."""
        self.streams = 0
        """How many streams are open."""
        self.backups = 0
        """How many backups are being made or fetched."""


def state_of(request: Request) -> ApiState:
    """What the composition root has handed over."""
    state: ApiState = request.scope[STATE]
    return state


def root_of(request: Request) -> str:
    """The prefix that the app is mounted under; empty when there is none."""
    root: str = request.scope.get("root_path", "")
    return root


def header_lines(request: Request, name: bytes) -> list[str]:
    """What a header says on each of its lines; `name` is in lower case."""
    if name not in fields_of(request):  # as most that are asked for are not
        return []
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]


def header(request: Request, name: bytes, default: str = "") -> str:
    """What a header says on its first line; `name` is in lower case."""
    value = fields_of(request).get(name)
    return default if value is None else str(value, "latin-1")


def fields_of(request: Request) -> dict[bytes, bytes]:
    """What each header says on its first line, found once for each request."""
    scope = request.scope
    found: dict[bytes, bytes] | None = scope.get(FIELDS)
    if found is None:
        found = scope[FIELDS] = dict(reversed(tuple(scope["headers"])))
    return found


def preferences(request: Request) -> Preferences:
    """What the caller prefers; a header may come on several lines.

    Raises `Problem` when the caller prefers to wait and as many wait as may.
    """
    lines = header_lines(request, b"prefer")
    if not lines:
        return _NO_PREFERENCES
    state = state_of(request)
    wanted = preferences_of(lines, state.limits.max_wait)
    if wanted.wait:
        require_room(state.waiters, state.limits.max_waiters, "requests wait")
    return wanted


def require_room(taken: int, limit: int, what: str) -> None:
    """Raise `Problem` when there are as many as there may be."""
    if taken >= limit:
        detail = f"{taken} {what}, as many as may: ask again later"
        headers = {"Retry-After": str(RETRY_AFTER)}
        raise Problem("too-many-waiters", detail, headers=headers, limit=limit)


def job_id_in_path(job_id: str) -> UUID:
    """The id in its one spelling, in either case; raises `Problem` for anything else."""
    found = id_in(job_id)
    if found is None:
        raise Problem("job-not-found", "there is no such job: the id is no UUID")
    return found


def require_known_query(request: Request, *known: str, repeatable: Sequence[str] = ()) -> None:
    """Refuse a query parameter that the route does not know or that repeats; raises `Problem`."""
    if not request.scope["query_string"]:
        return
    names = [name for name, _ in request.query_params.multi_items()]
    there = (*known, *repeatable)
    if unknown := sorted(set(names) - set(there)):
        there_are = f"; there are {', '.join(there)}" if there else ""
        detail = f"there is no query parameter {unknown[0]!r}{there_are}"
        raise Problem("invalid-parameter", detail)
    if repeated := [name for name in known if names.count(name) > 1]:
        raise Problem("invalid-parameter", f"{repeated[0]} is given more than once")


def flag(request: Request, name: str) -> bool:
    """A query parameter that is `true` or `false`, by default false; raises `Problem`."""
    if not request.scope["query_string"]:
        return False
    text = request.query_params.get(name, "false")
    if text not in ("true", "false"):
        raise Problem("invalid-parameter", f"{name} is true or false")
    return text == "true"


async def waited_for(job: Job, request: Request, seconds: float, since: int | None = None) -> Job:
    """The job once it has ended, or its version is not `since`, or the time has run out.

    Raises `ClientDisconnect` when the caller is gone: the job goes on, its waiter does not.
    """
    if not seconds or job.done:
        return job
    state = state_of(request)
    if state.waiters >= state.limits.max_waiters:
        return job
    state.waiters += 1
    try:
        at_once = min(seconds, _UNWATCHED)
        job = await state.engine.wait(job.id, timeout=at_once, since=since)
        if job.done or seconds <= at_once or (since is not None and job.version != since):
            return job
        return await _waited_for(job, request, seconds - at_once, since)
    finally:
        state.waiters -= 1


async def _waited_for(job: Job, request: Request, seconds: float, since: int | None) -> Job:
    engine = state_of(request).engine
    change = asyncio.ensure_future(engine.wait(job.id, timeout=seconds, since=since))
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait((change, gone), return_when=asyncio.FIRST_COMPLETED)
        if not change.done():
            raise ClientDisconnect
        return change.result()
    finally:
        change.cancel()
        gone.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
