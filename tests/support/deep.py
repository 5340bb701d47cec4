"""How far the tests go: `scripts/test --deep` tries more cases of the same kind, for minutes."""

import os
from typing import Final, TypeVar

T = TypeVar("T")

DEEP: Final = "DEEP_TESTS" in os.environ


def deep(ordinary: T, deep: T) -> T:
    """The one of two numbers that this run is for."""
    return deep if DEEP else ordinary
