from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the tasks that ship and those for tests, shared by all tests of this folder."""
    with Server(
        tmp_path_factory.mktemp("api"),
        AWAITD_TASKS="app.tasks,tests.support.tasks_for_tests",
        AWAITD_SHUTDOWN_GRACE="0",
    ) as server:
        yield server


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lets nobody wait for long, whatever they prefer."""
    with Server(
        tmp_path_factory.mktemp("hasty"),
        AWAITD_TASKS="tests.support.tasks_for_tests",
        AWAITD_MAX_WAIT="0.1",
        AWAITD_SHUTDOWN_GRACE="0",
    ) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: Server) -> httpx.Client:
    """A client of that server."""
    return server.client


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that tasks wait for; it is there at the end of the test at the latest."""
    path = tmp_path / "gate"
    yield path
    path.touch()
