import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from app.jobs.engine import Engine
from tests.engines.clock import SkippingLoop
from tests.engines.harness import ENGINES
from tests.engines.puppets import Puppets


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Engines run on a real loop, for they have threads; its clock can be set forward."""
    return "asyncio", {"loop_factory": SkippingLoop}


@pytest.fixture
def puppets() -> Puppets:
    """The coroutines of a test."""
    return Puppets()


@pytest.fixture
def store() -> Iterator[Path]:
    """A folder for a store: in memory where the system has such a disk, for syncing takes time."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder) / "store"


@pytest.fixture(params=sorted(ENGINES))
def open_engine(
    request: pytest.FixtureRequest, store: Path, puppets: Puppets
) -> Callable[..., Engine]:
    """Opens one store again and again: `open_engine(max_running=1)`, with each engine."""
    opener = partial(ENGINES[request.param], store)

    def open_it(*, without: tuple[str, ...] = (), **options: Any) -> Engine:
        return opener(puppets.registry(without=without), **options)

    return open_it
