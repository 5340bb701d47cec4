import asyncio
from pathlib import Path

import pytest

pytest.importorskip("psycopg")

from tests.crash.chaos.chaos import Chaos

pytestmark = pytest.mark.postgres

ROUNDS = 1
SEED = 1


def test_a_cluster_keeps_its_promises(tmp_path: Path) -> None:
    """Whatever is killed or frozen: every acknowledged job ends, once, and every cancel holds.

    `scripts/storm --cluster` does the same for longer.
    """
    chaos = Chaos(tmp_path, SEED)
    assert asyncio.run(chaos.run(ROUNDS)) == []
    assert chaos.stops == {"worker killed": 1, "worker frozen": 1, "worker ended": 1}
    assert chaos.restarts == 1
    assert chaos.load.history.lines
