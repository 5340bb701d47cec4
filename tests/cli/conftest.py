from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.commands import cli
from tests.support.receiver import SECRET
from tests.support.server import Server

TASKS = "app.tasks,tests.support.tasks_for_tests,tests.client.tasks"

Awaitd = Callable[..., Result]


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the tasks that ship and those for tests, shared by all tests of this folder."""
    folder = tmp_path_factory.mktemp("jobs")
    with Server(
        folder, AWAITD_TASKS=TASKS, AWAITD_SHUTDOWN_GRACE="0", AWAITD_WEBHOOK_SECRET=SECRET
    ) as server:
        yield server


@pytest.fixture
def awaitd(jobs: Server) -> Awaitd:
    """The command line, asking that server, with these settings and no others."""
    unset: dict[str, str | None] = dict.fromkeys(("AWAITD_API_KEY", "AWAITD_HOST", "AWAITD_PORT"))

    def run(*arguments: object, input: str | None = None, **settings: str) -> Result:
        env = {**unset, "AWAITD_URL": jobs.url, **settings}
        return CliRunner().invoke(cli, [str(a) for a in arguments], input=input, env=env)

    return run


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that tasks wait for; it is there at the end of the test at the latest."""
    path = tmp_path / "gate"
    yield path
    path.touch()
