from collections.abc import Iterator

import pytest

from app.keys import ADMIN, KeyFile
from tests.security.callers import TASKS, Callers
from tests.support.cluster import ENGINES, served


@pytest.fixture(scope="session", params=ENGINES)
def callers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callers]:
    """A server with keys in use, shared by the tests of this folder; with each engine."""
    folder = tmp_path_factory.mktemp("keys")
    KeyFile(folder / "data").add("ops", (ADMIN,))
    with served(request.param, folder, AWAITD_TASKS=TASKS, AWAITD_SHUTDOWN_GRACE="0") as server:
        callers = Callers(server)
        yield callers
        callers.close()
