from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.config import EmbeddedConfig
from tests.engines.clock import WallClock
from tests.engines.embedded.faults import Faults, installed
from tests.engines.puppets import Puppets


@pytest.fixture
def clock() -> WallClock:
    """The wall clock of the engines of a test."""
    return WallClock()


@pytest.fixture
def open_embedded(store: Path, puppets: Puppets, clock: WallClock) -> Callable[..., EmbeddedEngine]:
    """Opens the store again and again: `open_embedded(max_running=1)`."""

    def open_it(
        folder: Path = store,
        *,
        puppets: Puppets = puppets,
        without: tuple[str, ...] = (),
        **options: Any,
    ) -> EmbeddedEngine:
        defaults = {"shutdown_grace": 0.0, "cancel_grace": 0.5, "now": clock}
        config = EmbeddedConfig(folder=folder, **{**defaults, **options})
        return EmbeddedEngine(puppets.registry(without=without), config)

    return open_it


@pytest.fixture
async def engine(open_embedded: Callable[..., EmbeddedEngine]) -> AsyncIterator[EmbeddedEngine]:
    """An engine as it comes, open for the test."""
    async with open_embedded() as engine:
        yield engine


@pytest.fixture
def faults() -> Iterator[Faults]:
    """Faults of every connection that is opened from now on. Ask for it before `engine`."""
    with installed(Faults()) as faults:
        yield faults
