from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from app.client import AsyncAwaitd, Awaitd
from tests.client.in_loop import InLoop
from tests.support.receiver import SECRET
from tests.support.relay import Relay
from tests.support.server import Server

TASKS = "app.tasks,tests.support.tasks_for_tests,tests.client.tasks"

Connect = Callable[..., Any]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the tasks that ship and those for tests, shared by all tests of this folder."""
    folder = tmp_path_factory.mktemp("client")
    with Server(
        folder,
        AWAITD_TASKS=TASKS,
        AWAITD_SHUTDOWN_GRACE="0",
        AWAITD_OUTBOUND_ALLOW="127.0.0.1",
        AWAITD_WEBHOOK_SECRET=SECRET,
    ) as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients: the one that blocks, or the other one in an event loop of its own."""
    with ExitStack() as stack:
        if request.param == "sync":
            yield lambda *args, **options: stack.enter_context(Awaitd(*args, **options))
            return
        portal = stack.enter_context(start_blocking_portal())

        def connect(*args: Any, **options: Any) -> Any:
            client = AsyncAwaitd(*args, **options)
            stack.callback(portal.call, client.close)
            return InLoop(client, portal)

        yield connect


@pytest.fixture
def client(connect: Connect, server: Server) -> Any:
    """A client of the shared server."""
    return connect(server.url)


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    """A door before the shared server."""
    with Relay(server.url) as relay:
        yield relay


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that tasks wait for; it is there at the end of the test at the latest."""
    path = tmp_path / "gate"
    yield path
    path.touch()


@pytest.fixture
def in_threads() -> Callable[..., list[Any]]:
    """Calls a function in so many threads at once; returns what each returned."""

    def call(count: int, function: Callable[[], Any]) -> list[Any]:
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(lambda _: function(), range(count)))

    return call
