import asyncio
from pathlib import Path

from tests.crash.storm.storm import Storm

CYCLES = 15
SEED = 1
LONGEST_LIFE = 0.04


def test_nothing_is_lost_in_a_storm(tmp_path: Path) -> None:
    """However and whenever a server under load is killed, it keeps all its promises.

    `scripts/storm` does the same for longer.
    """
    storm = Storm(tmp_path, SEED, longest_life=LONGEST_LIFE)
    assert asyncio.run(storm.run(CYCLES)) == []
    assert {"at a 202", "at a DELETE", "at random", "SIGTERM"} <= storm.kills.keys()
    assert storm.load.history.lines
