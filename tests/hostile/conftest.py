from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.contract import Contract
from tests.support.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that nobody means well with, and that has to be as it was when they are done."""
    with Server(
        tmp_path_factory.mktemp("hostile"),
        AWAITD_TASKS="app.tasks.basics",
        AWAITD_MAX_WAIT="0.1",
        AWAITD_SHUTDOWN_GRACE="0",
        AWAITD_CANCEL_GRACE="0.1",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def contract(server: Server) -> Contract:
    """What the server says of itself."""
    return Contract(server.client.get("/openapi.json").json())


@pytest.fixture(scope="module")
def job_id(server: Server) -> str:
    """A finished job."""
    job_id = server.submit("echo", value=1, headers={"Prefer": "wait=10"})["id"]
    assert isinstance(job_id, str)
    return job_id


@pytest.fixture
def is_unharmed(server: Server) -> Callable[[], bool]:
    """Whether the server answers, holds no connection but ours, and has logged no error."""

    def check() -> bool:
        assert server.client.get("/readyz").status_code == 200
        # A busy machine makes the loop late, which is the watchdog's to say.
        log = "".join(line for line in server.log.splitlines() if "app.jobs.watchdog" not in line)
        for word in ("ERROR", "CRITICAL", "Traceback"):
            assert word not in log, server.log
        assert server.process is not None
        return connections_of(server.process.pid) <= 1

    return check


def connections_of(process: int) -> int:
    """How many established connections a process holds."""
    sockets = {
        link.readlink().name for link in Path(f"/proc/{process}/fd").iterdir() if link.is_symlink()
    }
    established = 0
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            established += fields[3] != "0A" and f"socket:[{fields[9]}]" in sockets
    return established
