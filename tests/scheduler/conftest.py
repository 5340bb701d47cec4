from collections.abc import AsyncIterator

import pytest

from app.scheduler import BackgroundTaskScheduler
from tests.support.virtual import VirtualClockLoop


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Coroutine tests of the scheduler run on a virtual clock: sleeping takes no time."""
    return "asyncio", {"loop_factory": VirtualClockLoop}


@pytest.fixture
async def scheduler() -> AsyncIterator[BackgroundTaskScheduler]:
    """An open scheduler without a limit, which cancels what a test leaves behind."""
    async with BackgroundTaskScheduler(grace=0) as scheduler:
        yield scheduler
