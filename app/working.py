"""A worker process: it runs jobs of a database, and serves nothing."""

import asyncio
import contextlib
import os
import socket

from app import __version__
from app.jobs.engine import Engine
from app.main import (
    build_engine,
    build_registry,
    build_sender,
    deadline_of,
    require_postgres,
    store_of,
)
from app.serving import run_alone, settle_memory
from app.settings import Settings
from app.shutdown import SIGNALS
from app.telemetry import configure_logging
from app.tracing import Tracing, tracing_of


def run_worker(settings: Settings) -> None:
    """Run jobs until SIGTERM or SIGINT; raises `StartUpError` or `BadSettings`."""
    configure_logging(settings)
    registry = build_registry(settings)
    tracing = tracing_of(os.environ)
    engine = build_engine(settings, registry, tracing, works=True, serves=False)
    names = ", ".join(task.name for task in registry) or "none"
    lines = [
        f"awaitd {__version__} works as {socket.gethostname()}:{os.getpid()}",
        f"  data   {store_of(settings)}",
        f"  tasks  {names}",
        f"  slots  {settings.max_running}",
    ]
    run_alone(_work(settings, engine, tracing, "\n".join(lines)), settings)


def migrate_database(settings: Settings) -> list[str]:
    """Bring the schema up to date; gives the names of what was applied.

    Raises `StartUpError` or `BadSettings`.
    """
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    require_postgres(url)
    from app.engines.postgres.migrations import migrate

    return migrate(url)


async def _work(
    settings: Settings, engine: Engine, tracing: Tracing | None, announcement: str
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal in SIGNALS:
        loop.add_signal_handler(signal, stop.set)
    with deadline_of(settings, tracing) as deadline, tracing or contextlib.nullcontext():
        async with engine, build_sender(settings, engine):
            settle_memory()
            print(announcement, flush=True)
            await stop.wait()
            deadline.start()
            engine.drain()
