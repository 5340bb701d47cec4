from collections.abc import AsyncIterator, Callable

import pytest

from app.jobs.engine import Engine


@pytest.fixture
async def engine(open_engine: Callable[..., Engine]) -> AsyncIterator[Engine]:
    """An engine as it comes, open for the test."""
    async with open_engine() as engine:
        yield engine
