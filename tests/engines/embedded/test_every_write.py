"""The engine on a disk of which every single operation fails, or is the last before a crash."""

import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import apsw
import pytest

from app.engines.embedded import EmbeddedEngine
from app.jobs.errors import StartUpError, StoreUnavailable
from app.jobs.models import Job
from app.scheduler import Status
from tests.engines.clock import WallClock
from tests.engines.embedded.script import RETENTION, Script, require_shown, until_ready
from tests.engines.harness import accepted, ended
from tests.engines.puppets import Puppets, job_of
from tests.support.deep import deep
from tests.support.disk import Disk, Operation, ShortWrite, full, io_error

Open = Callable[..., EmbeddedEngine]

OPTIONS: Final = {"max_running": 1, "retention": RETENTION, "housekeeping_every": 0.01}

pytestmark = [pytest.mark.deep, pytest.mark.timeout(deep(ordinary=60, deep=600))]
"""A deep run tries each operation in each way that it can fail, not some."""

STEP: Final = deep(ordinary=5, deep=1)


@pytest.fixture
def disk(store: Path) -> Iterator[Disk]:
    """A disk below the store, with checkpoints and spilling all the time."""
    with Disk(store, checkpoint_every=8) as disk, small_cache():
        yield disk


@contextmanager
def small_cache() -> Iterator[None]:
    """Let large transactions write pages before they commit."""

    def shrink(db: apsw.Connection) -> None:
        db.pragma("cache_size", 10)

    apsw.connection_hooks.append(shrink)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(shrink)


@pytest.fixture
async def script(
    disk: Disk, open_embedded: Open, puppets: Puppets, clock: WallClock
) -> AsyncIterator[Script]:
    """A script with its engine, on the disk."""
    async with open_embedded(**OPTIONS) as engine:
        yield Script(engine, puppets, clock)


class Failing:
    """Fails so many operations from a number on, each in one of the ways that its kind may."""

    def __init__(self, first: int, count: int, way: int) -> None:
        self.first = first
        self.count = count
        self.way = way
        self.seen = 0
        self.failed = 0

    def __call__(self, operation: Operation) -> None:
        self.seen += 1
        if self.seen >= self.first and self.failed < self.count:
            self.failed += 1
            raise self.error(operation)

    def error(self, operation: Operation) -> apsw.Error:
        if operation.kind != "write":
            return io_error(operation.kind)
        ways = (full(), io_error("write"), ShortWrite(operation.size // 2))
        return ways[(self.first + self.way) % len(ways)]


@pytest.mark.parametrize(("count", "step"), [(1, STEP), (5, deep(ordinary=11, deep=1))])
@pytest.mark.parametrize("way", range(deep(ordinary=1, deep=3)))
async def test_failure_of_every_operation(
    disk: Disk, script: Script, way: int, count: int, step: int
) -> None:
    """Whichever operation fails, all goes on, and what was told survives a loss of power then."""
    first, failed = 1, True
    while failed:
        disk.before = failing = Failing(first, count, way)
        await script.play(first)
        cut_power(disk, script.shown, seed=first)
        await script.expire()
        disk.mend()
        await until_ready(script.engine)
        first, failed = first + step, failing.failed > 0
    assert first > 100


def cut_power(disk: Disk, shown: Mapping[UUID, Job], seed: int) -> None:
    """Look at what would be left if power were lost now."""
    image = disk.folder.parent / "image"
    disk.image(image, power_loss=random.Random(seed))
    require_shown(image, shown)
    shutil.rmtree(image)


@dataclass(frozen=True)
class Moment:
    """What clients and coroutines knew when the process ended, and what it left."""

    image: Path
    shown: Mapping[UUID, Job]
    started: Mapping[str, int]


@pytest.mark.parametrize("power_loss", [False, True])
async def test_crash_at_every_operation(
    disk: Disk, script: Script, open_embedded: Open, clock: WallClock, power_loss: bool
) -> None:
    """Wherever the process or power ends, nothing that was told or begun is taken back."""
    moments: list[Moment] = []

    def before(operation: Operation) -> None:
        image = disk.folder.parent / f"image{operation.number}"
        disk.image(image, power_loss=random.Random(operation.number) if power_loss else None)
        moments.append(Moment(image, dict(script.shown), Counter(script.puppets.started)))

    disk.before = before
    await script.play(1)
    await script.expire()
    disk.mend()
    assert len(moments) > 100
    clock.set_by(-2 * RETENTION)
    left = {"retention": RETENTION, "without": ("persistent", "talk")}
    for moment in moments[2 * power_loss % STEP :: STEP]:
        async with open_embedded(moment.image, **left) as engine:
            for job in moment.shown.values():
                started = moment.started.get(job.labels["name"], 0)
                require_kept(job, await engine.get(job.id), started)


def require_kept(shown: Job, found: Job, started: int) -> None:
    """A job after a crash is at least as far as it was before."""
    assert (found.params, found.labels) == (shown.params, shown.labels)
    if shown.done:
        assert found == shown
        return
    assert found.version >= shown.version
    assert found.attempt >= max(shown.attempt, started)
    assert found.done or found.status is Status.PENDING
    if shown.cancel_requested_at is not None:
        assert found.status is Status.CANCELLED


class Dying:
    """From the sync of a number on fails everything that would change a file."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.syncs = 0

    def __call__(self, operation: Operation) -> None:
        self.syncs += operation.kind == "sync"
        if self.syncs >= self.number and operation.kind != "open":
            raise io_error(operation.kind)


async def test_power_lost_after_a_failed_sync(open_embedded: Open, store: Path) -> None:
    """What a failed sync left unwritten, and a restart found, takes away nothing told later."""
    number, failed = 0, True
    while failed:
        number += 1
        with Disk(store.parent / f"{number}", checkpoint_every=4) as disk:
            disk.before = dying = Dying(number)
            await submit_until_it_dies(open_embedded(disk.folder, cancel_grace=0.01))
            disk.mend()
            async with open_embedded(disk.folder, retention=RETENTION) as engine:
                job = await ended(engine, await accepted(engine, job_of("echo")))
                for seed in range(5):
                    cut_power(disk, {job.id: job}, seed)
            failed = dying.syncs >= number
    assert number > 10


async def submit_until_it_dies(engine: EmbeddedEngine) -> None:
    """Start it and submit some jobs, as far as its disk lets it."""
    with suppress(StartUpError):
        async with engine:
            for _ in range(2):
                with suppress(StoreUnavailable):
                    await engine.submit(job_of("echo"))
