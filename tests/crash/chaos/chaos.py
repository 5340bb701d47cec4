"""A cluster under load: processes are killed, frozen and ended, and the database restarts."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Final

from tests.crash.chaos.cluster import NODES, WORKERS, Cluster
from tests.crash.chaos.rules import violations_of_cluster
from tests.crash.storm.history import Stop, read_evidence
from tests.crash.storm.load import Load
from tests.crash.storm.wire import Gone, Wire
from tests.support.forked import Forked

CLIENTS: Final = 6
PAUSE: Final = 0.15
"""Seconds that a client rests at most between two requests."""

WORK: Final = (0.02, 0.2, 1.0, 0.0, 2.0)
"""Seconds that a coroutine takes, long enough to be hit; those of `narrow` the first three."""

BETWEEN: Final = 30
"""Answers between two events."""

AFTER_THAW: Final = 1.0
"""Seconds in which coroutines of a worker that has thawed may still do what they were about to."""

ANSWERED_WITHIN: Final = 30.0


class Chaos:
    """All that happens in one folder. Clients and events go by the seed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.load = Load(seed, WORK)
        self.load.may_be_refused = True
        self.folder = folder
        self.restarts = 0
        """How often the database was restarted."""
        self._random = Random(seed)
        self._over = False
        self._frozen: int | None = None
        """The number of the worker that is."""
        self._freezing: asyncio.Task[None] | None = None
        self._kinds: dict[str, Callable[[Cluster], Awaitable[None]]] = {
            "worker killed": self._kill_worker,
            "worker frozen": self._freeze_worker,
            "worker ended": self._end_worker,
            "node killed": self._kill_node,
            "node ended": self._end_node,
        }

    @property
    def stops(self) -> Counter[str]:
        """How often a process was stopped, by kind."""
        return Counter(stop.kind for stop in self.load.history.stops)

    async def run(self, rounds: int) -> list[str]:
        """Every kind of event so often, the database in the middle; gives what was wrong."""
        with Cluster(self.folder) as cluster:
            async with asyncio.TaskGroup() as group:
                for _ in range(CLIENTS):
                    group.create_task(self._client(cluster))
                await self._rage(cluster, rounds)
                self._over = True
            await self.load.end_all(cluster.nodes[-1].url, CLIENTS)
        self.load.history.lines += read_evidence(self.folder / "evidence")
        return violations_of_cluster(self.load.history)

    async def _rage(self, cluster: Cluster, rounds: int) -> None:
        kinds = list(self._kinds)
        for number in range(rounds):
            self._random.shuffle(kinds)
            for kind in kinds:
                await self._some_answers()
                await self._kinds[kind](cluster)
            if number == rounds // 2:
                await self._thawed()
                await self._some_answers()
                await asyncio.to_thread(cluster.restart_database)
                self.restarts += 1
        await self._thawed()

    async def _client(self, cluster: Cluster) -> None:
        async with Wire() as wire:
            while not self._over:
                await wire.move(self._random.choice(cluster.nodes).url)
                with suppress(*Gone):
                    for _ in range(self._random.randrange(1, 20)):
                        async with asyncio.timeout(ANSWERED_WITHIN):
                            await self.load.act_at_random(wire)
                        await asyncio.sleep(self._random.uniform(0, PAUSE))

    async def _some_answers(self) -> None:
        enough = len(self.load.history.sights) + self._random.randrange(2 * BETWEEN)
        while len(self.load.history.sights) < enough:  # noqa: ASYNC110  the clients bring it about
            await asyncio.sleep(0.01)

    async def _kill_worker(self, cluster: Cluster) -> None:
        with self._stop("worker killed"):
            await asyncio.to_thread(cluster.end_worker, self._any_worker(), signal.SIGKILL)

    async def _end_worker(self, cluster: Cluster) -> None:
        number = self._any_worker()
        await cluster.until_known(cluster.workers[number], True)
        with self._stop("worker ended"):
            await asyncio.to_thread(cluster.end_worker, number, signal.SIGTERM)

    async def _kill_node(self, cluster: Cluster) -> None:
        number = self._random.randrange(NODES)
        await asyncio.to_thread(cluster.end_node, number, signal.SIGKILL)

    async def _end_node(self, cluster: Cluster) -> None:
        number = self._random.randrange(NODES)
        await asyncio.to_thread(cluster.end_node, number, signal.SIGTERM)

    async def _freeze_worker(self, cluster: Cluster) -> None:
        """Freeze one, and go on while it is."""
        await self._thawed()
        self._frozen = self._any_worker()
        self._freezing = asyncio.create_task(self._freeze(cluster, cluster.workers[self._frozen]))

    async def _freeze(self, cluster: Cluster, worker: Forked) -> None:
        """Until it is taken for dead; it has thawed when it is known again."""
        await cluster.until_known(worker, True)
        with self._stop("worker frozen"):
            worker.send(signal.SIGSTOP)
            await cluster.until_known(worker, False)
            worker.send(signal.SIGCONT)
            await cluster.until_known(worker, True)
            await asyncio.sleep(AFTER_THAW)
        self._frozen = None

    async def _thawed(self) -> None:
        if self._freezing is not None:
            await self._freezing

    def _any_worker(self) -> int:
        """One that is not frozen."""
        return self._random.choice([n for n in range(WORKERS) if n != self._frozen])

    @contextmanager
    def _stop(self, kind: str) -> Iterator[None]:
        begun, since = time.monotonic_ns(), time.time()
        yield
        self.load.history.stops.append(Stop(kind, begun, time.monotonic_ns(), since, time.time()))
