"""Runs simulations, one seed after the other."""

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from app.engines.embedded import EmbeddedEngine
from app.engines.embedded.config import EmbeddedConfig
from tests.simulation.book import Book
from tests.simulation.history import Defect, Event, History
from tests.simulation.model import RULES, violations
from tests.simulation.report import Report
from tests.simulation.seen import meetings
from tests.simulation.tasks import REGISTRY
from tests.simulation.world import World


def make_template(folder: Path) -> Path:
    """A journal in which nothing is, for every simulation to begin with."""

    async def open_once() -> None:
        async with EmbeddedEngine(REGISTRY, EmbeddedConfig(folder=folder, watch_loop=False)):
            pass

    asyncio.run(open_once())
    (folder / "lock").unlink()
    return folder


def simulate(seed: int, folder: Path, template: Path) -> World:
    """The world of a seed, after its end; what is broken off is a defect in its history."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        world = World(seed, Path(own), template)
        try:
            world.run()
        except Exception as error:
            last = world.history.events[-1]
            defect = Defect(f"the simulation broke off: {error!r}")
            world.history.events.append(Event(last.time, last.wall, last.life, defect))
    return world


def run_seeds(seeds: Iterable[int], deadline: float) -> Report:
    """Simulate and check; stops at the deadline of `time.monotonic`."""
    report, began = Report(), time.monotonic()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        template = make_template(Path(name) / "template")
        gc.collect()
        gc.freeze()  # so that the collection after each seed is quick
        for seed in seeds:
            if time.monotonic() > deadline:
                break
            world = simulate(seed, Path(name), template)
            _count(report, seed, world)
    gc.unfreeze()
    report.seconds = time.monotonic() - began
    return report


def _count(report: Report, seed: int, world: World) -> None:
    history: History = world.history
    report.seeds += 1
    report.jobs += len(world.known)
    report.lives += history.events[-1].life
    report.events += len(history.events)
    report.checks += len(RULES)
    report.covered += world.covered
    book = Book(history)
    report.covered.update(meetings(book))
    if broken := violations(book):
        report.failed[seed] = broken
