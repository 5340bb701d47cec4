import asyncio.constants
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.server import Server

# Every event loop of the tests and of their servers is in debug mode. It notes where each callback
# was made: one frame of the ten, for they are most of what this mode costs.
os.environ.setdefault("PYTHONASYNCIODEBUG", "1")
vars(asyncio.constants)["DEBUG_STACK_DEPTH"] = 1

# An example takes as long as the machine needs for it.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


def pytest_itemcollected(item: pytest.Item) -> None:
    """What runs on PostgreSQL can be left out by a marker."""
    if "postgres" in item.nodeid:
        item.add_marker("postgres")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Coroutine tests run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the tasks that ship, shared by tests that leave it as it is."""
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of a test's own: `start_server(AWAITD_TASKS=...)`."""
    with ExitStack() as stack:

        def start(folder: Path | None = None, **settings: str) -> Server:
            return stack.enter_context(Server(folder or tmp_path, **settings))

        yield start


@pytest.fixture(autouse=True)
def leaves_no_thread() -> Iterator[None]:
    """No test leaves a thread of an engine behind, which would watch the loop of the next."""
    yield
    left = [thread for thread in threading.enumerate() if thread.name.startswith("awaitd-")]
    for thread in left:
        thread.join(5)  # it has said that it ends, but may not have ended yet
        assert not thread.is_alive(), f"{thread.name} still runs"
