"""The composition root: from settings to a running service.

`uvicorn app.main:app` works; nothing is read at import, the app is built when it is asked for.
"""

import contextlib
import contextvars
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import cached_property, partial
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from app import __version__
from app.api import (
    backup,
    dashboard,
    deliveries,
    docs,
    health,
    inspection,
    jobs,
    metrics,
    problems,
    stats,
    streams,
    tasks,
)
from app.api.errors import add_error_handlers
from app.api.front import Front
from app.api.openapi import openapi_of
from app.api.requests import ApiLimits, ApiState
from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.config import EmbeddedConfig
from app.fingerprint_key import fingerprint_key
from app.jobs.engine import Engine
from app.jobs.errors import StartUpError, StoreUnavailable
from app.jobs.loading import load_modules
from app.jobs.registry import TaskRegistry
from app.keys import BadKeys, Keys
from app.metrics import metrics_of
from app.outbound import outbound_policy
from app.receivers import receiver_of
from app.settings import BadSettings, Settings, load_settings
from app.shutdown import SLACK, Deadline, draining_on_signals
from app.signing import Signer
from app.tracing import CLOSE_WITHIN, NO_TRACES, Tracing, tracing_of
from app.webhooks import Sender

log = logging.getLogger(__name__)


class Service(FastAPI):
    """The app, with the document of its tasks and its start-up errors as messages."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; what keeps it from starting is said in one line to any server that runs it."""
        await self.front(scope, receive, _telling(send) if scope["type"] == "lifespan" else send)

    @cached_property
    def front(self) -> Front:
        """What answers requests; made when it is first asked for, of the routes there are then."""
        api = self.state.api
        is_changed = len(self.user_middleware) != 1 or self.dependency_overrides
        is_traced = api.traceparent_here is not None
        return Front(api, () if is_changed or is_traced else self.routes, super().__call__)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made when it is first asked for."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi_of(self, self.state.api.registry)
        return self.openapi_schema


def _telling(send: Send) -> Send:
    async def tell(message: Message) -> None:
        error = sys.exc_info()[1]
        if message["type"] == "lifespan.startup.failed" and isinstance(error, StartUpError):
            message = {**message, "message": f"awaitd: {error}"}
        await send(message)

    return tell


def build_registry(settings: Settings) -> TaskRegistry:
    """The tasks of the modules that the settings name, and of installed packages."""
    return TaskRegistry.from_modules(load_modules(settings.tasks))


def build_engine(
    settings: Settings,
    registry: TaskRegistry,
    tracing: Tracing | None = None,
    *,
    works: bool = False,
    serves: bool = True,
) -> Engine:
    """The engine that the settings ask for, not opened yet; one without a database always works.

    `works` says whether this process runs jobs of the database, `serves` whether it is asked about
    them. Raises `StartUpError`.
    """
    common = _common(settings, tracing)
    if settings.database_url is None:
        config = EmbeddedConfig(folder=settings.data_dir, lock_wait=settings.lock_wait, **common)
        return EmbeddedEngine(registry, config)
    url = settings.database_url.get_secret_value()
    require_postgres(url)
    # Only who asks for a database needs its libraries.
    from app.engines.postgres import PostgresEngine
    from app.engines.postgres.config import PostgresConfig

    stall_after = settings.stall_after
    return PostgresEngine(
        registry,
        PostgresConfig(url=url, works=works, serves=serves, stall_after=stall_after, **common),
    )


def _common(settings: Settings, tracing: Tracing | None) -> dict[str, Any]:
    """What every engine is set up with: the fields of `EngineConfig`."""
    return {
        "max_running": settings.max_running,
        "max_pending": settings.max_pending,
        "max_running_of_owner": settings.owner_max_running,
        "max_pending_of_owner": settings.owner_max_pending,
        "max_store_size": settings.max_store_size,
        "retention": settings.retention,
        "max_result_size": settings.max_result_size,
        "exception_text": settings.exception_text,
        "shutdown_grace": settings.shutdown_grace,
        "cancel_grace": settings.cancel_grace,
        "unknown_task_after": settings.unknown_task_after,
        "context": _job_context(settings),
        "trace": None if tracing is None else tracing.attempt,
    }


def require_postgres(url: str) -> None:
    """Raise `StartUpError` without the libraries that a database needs, `BadSettings` for no URL.

    Neither says what is in it: that is a password.
    """
    if missing := [
        name for name in ("psycopg", "psycopg_pool", "procrastinate") if not find_spec(name)
    ]:
        text = f"AWAITD_DATABASE_URL needs {', '.join(missing)}: install awaitd[postgres]"
        raise StartUpError(text)
    from app.engines.postgres.connections import is_connection_string

    if not is_connection_string(url):
        raise BadSettings(
            "AWAITD_DATABASE_URL: no connection string of PostgreSQL, which is "
            "postgresql://user:password@host:port/database, with each of / : @ ? # % in a user or "
            "a password written as %2F %3A %40 %3F %23 %25"
        )


def store_of(settings: Settings) -> str:
    """Where the jobs are kept, for the log."""
    if settings.database_url is None:
        return str(settings.data_dir.resolve())
    from app.engines.postgres.connections import place_of

    return place_of(settings.database_url.get_secret_value())


def build_sender(settings: Settings, engine: Engine) -> AbstractAsyncContextManager[object]:
    """What sends the webhooks of an open engine; nothing does without a secret to sign with."""
    if settings.webhook_secret is None:
        return _without_sender(engine)
    signer = Signer(settings.webhook_secret.get_secret_value())
    return Sender(engine.deliveries, signer, settings.outbound_allow)


@contextlib.asynccontextmanager
async def _without_sender(engine: Engine) -> AsyncIterator[None]:
    with contextlib.suppress(StoreUnavailable):
        if await engine.deliveries.any_left():
            log.warning("webhooks wait; without AWAITD_WEBHOOK_SECRET this process sends none")
    yield


def build_app(
    settings: Settings, registry: TaskRegistry, engine: Engine, tracing: Tracing | None = None
) -> Service:
    """The service over an engine, which its lifespan opens and, at the end, drains."""
    keys = Keys(settings.data_dir, are_needed=lambda: engine.has_owners)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with deadline_of(settings, tracing) as deadline, tracing or contextlib.nullcontext():
            try:
                keys.open()
            except BadKeys as error:
                raise StartUpError(str(error)) from error
            # Before the engine opens: it starts jobs, which a start that fails would cut off.
            app.state.api.fingerprint_key = await _fingerprint_key(settings)
            async with (
                engine,
                build_sender(settings, engine),
                draining_on_signals(engine, settings.shutdown_grace, deadline),
            ):
                if engine.has_owners:  # as in a backup that came without its keys
                    keys.require()
                yield

    app = Service(
        title="awaitd",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=NO_TRACES if tracing is None else tracing.of_requests,
    )
    app.state.api = ApiState(engine, registry, keys, metrics_of, _limits(settings))
    app.state.api.traceparent_here = tracing and tracing.here
    if settings.webhook_secret is not None:
        app.state.api.receiver_of = partial(receiver_of, policy=settings.outbound_allow)
    add_error_handlers(app)
    _add_routes(app)
    return app


def _add_routes(app: FastAPI) -> None:
    jobs_and_tasks = (jobs, deliveries, inspection, streams, tasks, stats)
    for module in (*jobs_and_tasks, metrics, backup, health, problems, docs, dashboard):
        app.include_router(module.router)


def create_app(settings: Settings | None = None, *, works: bool = False) -> Service:
    """The service that the settings ask for; raises `BadSettings` or `StartUpError`."""
    settings = settings or load_settings()
    registry, tracing = build_registry(settings), tracing_of(os.environ)
    engine = build_engine(settings, registry, tracing, works=works)
    return build_app(settings, registry, engine, tracing)


def deadline_of(settings: Settings, tracing: Tracing | None) -> Deadline:
    """When the process ends at the latest, once it is to end."""
    graces = settings.shutdown_grace + settings.cancel_grace
    return Deadline(graces + SLACK + (0.0 if tracing is None else CLOSE_WITHIN))


async def _fingerprint_key(settings: Settings) -> bytes:
    """The key that all processes share which serve the same jobs."""
    if settings.database_url is None:
        return fingerprint_key(settings.data_dir)
    from app.engines.postgres.connections import open_schema

    return await open_schema(settings.database_url.get_secret_value())


def _limits(settings: Settings) -> ApiLimits:
    return ApiLimits(
        max_body_size=settings.max_body_size,
        max_wait=settings.max_wait,
        max_waiters=settings.max_waiters,
        max_streams=settings.max_streams,
        rate_of_owner=settings.owner_rate,
    )


def _job_context(settings: Settings) -> contextvars.Context:
    """What coroutines find around them: the outbound policy, and nothing of any request."""
    context = contextvars.Context()
    context.run(outbound_policy.set, settings.outbound_allow)
    return context


def __getattr__(name: str) -> FastAPI:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    app = globals()["app"] = create_app()
    return app
