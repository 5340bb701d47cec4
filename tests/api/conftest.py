from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.cluster import ENGINES, served
from tests.support.contract import Contract
from tests.support.receiver import SECRET, Receiver
from tests.support.server import Server

TASKS = "app.tasks,tests.support.tasks_for_tests"


def judged(server: Server) -> Server:
    """The server, every answer of which is checked against its own document from now on."""
    contract = Contract(server.client.get("/openapi.json").json())
    server.client.event_hooks = {"response": [contract.check]}
    return server


@pytest.fixture(scope="session", params=ENGINES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with the tasks that ship and those for tests, shared by all tests of this folder.

    It runs the jobs itself, or a worker runs them, with PostgreSQL between.
    """
    folder = tmp_path_factory.mktemp(request.param)
    with served(
        request.param,
        folder,
        AWAITD_TASKS=TASKS,
        AWAITD_SHUTDOWN_GRACE="0",
        AWAITD_OUTBOUND_ALLOW="127.0.0.1",
        AWAITD_WEBHOOK_SECRET=SECRET,
    ) as server:
        yield judged(server)


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lets nobody wait for long, and reads short bodies only."""
    with Server(
        tmp_path_factory.mktemp("hasty"),
        AWAITD_TASKS=TASKS,
        AWAITD_SHUTDOWN_GRACE="0",
        AWAITD_MAX_WAIT="0.1",
        AWAITD_MAX_BODY_SIZE="1000",
    ) as server:
        yield judged(server)


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


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with Receiver() as receiver:
        yield receiver
