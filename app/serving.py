"""One server process: the app under uvicorn, with start-up errors before anything listens."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import shlex
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from types import FrameType
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from app import __version__
from app.api.examples import example_of
from app.api.requests import ApiState
from app.jobs.errors import StartUpError
from app.jobs.texts import to_json, traceback_of
from app.large_pages import move_heap
from app.limits import Limits
from app.protocol import limited
from app.settings import Settings
from app.shutdown import SIGNALS

log = logging.getLogger(__name__)

CLOSE_WITHIN: Final = 0.4
"""Seconds in which open requests may end after the engine has drained; within `SLACK`."""

MAX_CONNECTIONS: Final = 10_000

ACCEPTS: Final = 16
"""Connections that a turn of the event loop takes up at most: uvloop takes one for each listener,
so that many that come at once to a busy server would wait for as many turns."""

_COLLECT_AFTER: Final = (20_000, 20, 50)
"""New objects until the young ones are looked at; how often, until older ones are too."""

UNREAD_WITHIN: Final = 60
"""Seconds after which a peer that does not take what it is sent is given up, where the system can
(Linux). The kernel counts them, whatever state the connection is in: only it sees what was read."""


class PortInUse(StartUpError):
    """Raised when the address cannot be listened on."""


class _Server(uvicorn.Server):
    """uvicorn with our signal handlers, which says where it is once it listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[socket.socket], None]) -> None:
        super().__init__(config)
        self._announce = announce
        self.opened = False
        """Whether the engine is open, so that there is something to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours are installed already; uvicorn would raise the signal again after a clean stop."""
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop serving; or end at once while the engine opens, which may wait for its lock."""
        if not self.opened:
            os._exit(0)
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say where."""
        await super().startup(sockets)
        for listener in (sockets or ())[:1]:
            self._announce(listener)


def serve_app(app: FastAPI, front: ASGIApp, settings: Settings, store: str) -> None:
    """Serve until SIGTERM or SIGINT; raises `StartUpError` before anything listens.

    `front` answers the app's requests, `store` says where the jobs are kept.
    """
    keys = app.state.api.keys
    keys.open()
    settings.require_safe_address(keys.in_use)
    config = uvicorn.Config(
        front,
        access_log=settings.access_log,
        http=limited(Limits(max_connections=_room_for_connections())),
        lifespan="off",
        log_config=None,
        server_header=False,
        ws="none",
    )
    # Declared to be whole seconds, but handed to asyncio as it is.
    vars(config)["timeout_graceful_shutdown"] = CLOSE_WITHIN
    server = _Server(config, partial(_announce, app, store))
    for number in SIGNALS:
        signal.signal(number, server.handle_exit)
    gc.collect()  # here, for it would block the event loop
    with bound_socket(settings) as listener:
        serving = _serve(app, server, listener)
        run_to_its_end(serving, config.get_loop_factory(), messages=settings.exception_text)


def run_alone(main: Coroutine[Any, Any, None], settings: Settings) -> None:
    """Run what serves nothing, on the same kind of event loop and with the same care."""
    config = uvicorn.Config("", log_config=None)
    run_to_its_end(main, config.get_loop_factory(), messages=settings.exception_text)


def run_to_its_end(
    main: Coroutine[Any, Any, None],
    make_loop: Callable[[], asyncio.AbstractEventLoop] | None,
    *,
    messages: bool = True,
) -> None:
    """As `asyncio.run`, but only the end of `main` ends the event loop.

    A SystemExit or KeyboardInterrupt in a subtask or callback of some job stops the loop under
    everybody else; then it is logged, and the loop goes on where it was. Without `messages` what
    exceptions say is left out of the log.
    """
    with _closing(asyncio.Runner(loop_factory=make_loop), messages) as loop:
        task = loop.create_task(main)
        while not task.done():
            try:
                loop.run_until_complete(task)
            except BaseException as error:
                if not task.done():
                    text = "a job stopped the event loop, which goes on\n%s"
                    log.critical(text, traceback_of(error, messages=messages))
        task.result()


@contextlib.contextmanager
def _closing(runner: asyncio.Runner, messages: bool) -> Iterator[asyncio.AbstractEventLoop]:
    """Its loop; at the end what jobs left behind is cancelled, and may raise anything."""
    try:
        yield runner.get_loop()
    finally:
        try:
            runner.close()
        except BaseException as error:
            text = "what a job left behind did not end well\n%s"
            log.critical(text, traceback_of(error, messages=messages))


async def _serve(app: FastAPI, server: _Server, listener: socket.socket) -> None:
    async with app.router.lifespan_context(app):
        settle_memory()
        server.opened = True
        await server.serve(sockets=doubled(listener))


def doubled(listener: socket.socket) -> list[socket.socket]:
    """The listener as often as one turn of the event loop shall accept a connection from it."""
    return [listener, *(listener.dup() for _ in range(ACCEPTS - 1))]


def settle_memory() -> None:
    """Spare every request its share of looking for garbage, and for where things are.

    What start-up has made stays to the end, so it is looked at no more, and moves into large pages;
    and what requests and jobs leave behind goes by reference counts, but for a few cycles, which
    can wait: by default a full collection stops everything for as long as it takes to look at every
    job in memory.
    """
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    move_heap()


@contextlib.contextmanager
def bound_socket(settings: Settings) -> Iterator[socket.socket]:
    """The address, taken but not listened on yet; raises `PortInUse`."""
    host = settings.host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        give_up_unread(listener, UNREAD_WITHIN)
        listener.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        where = f"{settings.host} port {settings.port}"
        text = f"cannot listen on {where} ({reason}): set AWAITD_HOST or AWAITD_PORT"
        raise PortInUse(text) from error
    with contextlib.closing(listener):
        yield listener


def give_up_unread(listener: socket.socket, seconds: float) -> None:
    """Let its connections end when the peer takes nothing for so long, where the system can."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        listener.setsockopt(socket.IPPROTO_TCP, option, round(seconds * 1000))


def _room_for_connections() -> int:
    """As many as there may be; half of the file descriptors are left for all else."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    if files < wanted:
        with contextlib.suppress(ValueError, OSError):  # the system may have a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
            files = wanted
    return min(MAX_CONNECTIONS, files // 2)


def _announce(app: FastAPI, store: str, listener: socket.socket) -> None:
    """Where everything is, which tasks there are, and one line to paste."""
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    state = app.state.api
    assert isinstance(state, ApiState)
    tasks = tuple(state.registry)
    lines = [
        f"awaitd {__version__} on {url}",
        f"  docs   {url}/docs",
        f"  data   {store}",
        f"  tasks  {', '.join(task.name for task in tasks) or 'none'}",
    ]
    if tasks:
        body = to_json({"task": tasks[0].name, "params": example_of(tasks[0])}).decode()
        lines.append(f"  try    curl --json {shlex.quote(body)} {url}/jobs")
    print("\n".join(lines), flush=True)
