import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from app.scheduler import BackgroundTaskScheduler
from tests.support.virtual import VirtualClockLoop


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Coroutine tests of jobs run on a virtual clock: timeouts take no time."""
    return "asyncio", {"loop_factory": VirtualClockLoop}


@pytest.fixture
async def scheduler() -> AsyncIterator[BackgroundTaskScheduler]:
    """An open scheduler without a limit, which cancels what a test leaves behind."""
    async with BackgroundTaskScheduler(grace=0) as scheduler:
        yield scheduler


@pytest.fixture
def imports() -> Iterator[None]:
    """What a test imports, and where from, is forgotten at its end."""
    path, modules = sys.path.copy(), sys.modules.copy()
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
