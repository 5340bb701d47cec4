from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.jobs.engine import Engine
from app.outbound import OutboundPolicy
from app.signing import Signer
from app.webhooks import Sender
from tests.engines.harness import embedded
from tests.engines.puppets import Puppets
from tests.support.receiver import SECRET, Receiver

LOOPBACK = OutboundPolicy.parse("127.0.0.1, localhost")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """A plain event loop: receivers are in threads, for which time is real."""
    return "asyncio"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def sending(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Engine]]:
    """Opens an engine on the folder of the test, and sends what it has to deliver."""
    opener = partial(embedded, tmp_path / "store", Puppets().registry())

    @asynccontextmanager
    async def opened(policy: OutboundPolicy = LOOPBACK, **options: Any) -> Any:
        async with opener() as engine, Sender(engine.deliveries, Signer(SECRET), policy, **options):
            yield engine

    return opened
