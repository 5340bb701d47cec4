"""The command behind `scripts/storm`."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import SystemRandom
from typing import Any

from tests.crash.chaos.chaos import Chaos
from tests.crash.storm.load import Load
from tests.crash.storm.races import Races
from tests.crash.storm.storm import Storm

EXECUTE_EVERY = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; 1 when a promise was broken."""
    options = _options(arguments)
    seed = SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    folder = Path(tempfile.mkdtemp(prefix="awaitd-storm-"))
    print(f"seed {seed}, in {folder}", flush=True)
    if options.cancels:
        races = Races(folder, seed)
        load, wrong = races.load, asyncio.run(races.run(options.count or 3000))
        _say_races(races)
    elif options.cluster:
        chaos = Chaos(folder, seed)
        load, wrong = chaos.load, asyncio.run(chaos.run(options.count or 10))
        _say("stops", chaos.stops)
        _say_load(load)
    else:
        storm = Storm(folder, seed)
        running = storm.run(options.count or 200, execute_every=EXECUTE_EVERY)
        load, wrong = storm.load, asyncio.run(running)
        _say_storm(storm)
    print(f"violations {len(wrong)}")
    if wrong:
        print(*wrong[:50], f"seed {seed}; all that was seen is in {folder}", sep="\n")
        sights = (f"{sight}\n" for sight in load.history.sights)
        (folder / "answers").write_text("".join(sights))
        return 1
    shutil.rmtree(folder)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/storm", description=__doc__)
    parser.add_argument(
        "count", nargs="?", type=int, help="of kills (200), cancels (3000) or rounds (10)"
    )
    parser.add_argument("seed", nargs="?", type=int, help="of all that is random")
    parser.add_argument("--cancels", action="store_true", help="race cancels instead")
    parser.add_argument(
        "--cluster", action="store_true", help="kill, freeze and end workers instead"
    )
    return parser.parse_args(arguments)


def _say_storm(storm: Storm) -> None:
    _say("kills", storm.kills)
    print(f"answers cut by a kill {storm.cut_answers}")
    _say_load(storm.load)
    for kind, seconds in storm.restarts.items():
        _say(f"seconds to ready, {kind}", {"times": len(seconds), **_quantiles(seconds)})


def _say_races(races: Races) -> None:
    _say("races", {" ".join(kind): number for kind, number in races.outcomes.items()})
    _say_load(races.load)


def _say_load(load: Load) -> None:
    history = load.history
    _say("answers", Counter(sight.how for sight in history.sights))
    _say("jobs", Counter(job["status"] for job in load.jobs.values()))
    _say("evidence", Counter(line.what for line in history.lines))


def _say(title: str, figures: Mapping[Any, Any]) -> None:
    total = f" {figures.total()}" if isinstance(figures, Counter) else ""
    print(f"{title}{total}")
    for name, figure in sorted(figures.items(), key=str):
        print(f"  {name:<28}{figure:>8}")


def _quantiles(numbers: Sequence[float]) -> dict[str, float]:
    ordered = sorted(numbers)
    places = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "longest": 1.0}
    last = len(ordered) - 1
    return {name: round(ordered[round(place * last)], 3) for name, place in places.items()}


if __name__ == "__main__":
    sys.exit(main())
