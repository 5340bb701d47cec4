import asyncio
from pathlib import Path

import pytest

from tests.crash.storm.__main__ import main
from tests.crash.storm.races import KINDS, Races

RACES = 300
SEED = 1


def test_every_cancel_ends_in_one_way(tmp_path: Path) -> None:
    """Whatever a cancel races with, all answers about a job agree with each other and its end.

    `scripts/storm --cancels` does the same for longer.
    """
    races = Races(tmp_path, SEED)
    assert asyncio.run(races.run(RACES)) == []
    assert races.outcomes.total() == RACES
    assert {kind for kind, _ in races.outcomes} == set(KINDS)
    ends = {end for _, end in races.outcomes}
    assert ends == {"completed", "failed", "cancelled", "cancelled while pending"}


def test_the_command_says_what_it_saw(capsys: pytest.CaptureFixture[str]) -> None:
    """`scripts/storm` prints its seed, what it did and what was wrong."""
    assert main(["--cancels", "12", "7"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("seed 7, in ")
    assert "jobs 12\n" in said
    assert said.endswith("violations 0\n")
