from collections.abc import AsyncIterator

import pytest

from tests.outbound.loopback import Loopback, listening


@pytest.fixture
async def loopback() -> AsyncIterator[Loopback]:
    """A plain HTTP server on 127.0.0.1."""
    async with listening("127.0.0.1") as server:
        yield server
