"""Cancels that arrive at the very moment in which something else happens to the job."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.crash.storm.history import read_evidence
from tests.crash.storm.load import Body, Load
from tests.crash.storm.rules import violations
from tests.crash.storm.tasks import EVIDENCE, TASKS
from tests.crash.storm.wire import Wire
from tests.support.forked import ForkedServer

AT_ONCE: Final = 6
"""Races that go on side by side; each has up to `DELETES` connections."""

DELETES: Final = 4

MOMENT: Final = 0.004
"""Seconds by which what races is spread."""

PATIENCE: Final = 20

LONG: Final = 3600
"""Seconds that no race takes."""


def _about_to_end(random: Random) -> Body:
    ways = ("raise", "return", "fail", "go on")
    plan = {"work": random.uniform(0, MOMENT), "when_cancelled": random.choice(ways)}
    return {"task": random.choice(("once", "again")), "params": {"plan": plan}}


def _about_to_fail(random: Random) -> Body:
    return _with_plan("once", work=random.uniform(0, MOMENT), failures=9)


def _about_to_start(random: Random) -> Body:
    delay = random.choice((random.uniform(0, 10 * MOMENT), LONG))  # a slow cancel finds it, too
    return {**_with_plan("once", work=MOMENT), "delay": delay}


def _waiting(random: Random) -> Body:
    return _with_plan("narrow", work=MOMENT / 2)


def _cleaning_up(random: Random) -> Body:
    return _with_plan("again", work=PATIENCE, clean_up=random.uniform(0, 2 * MOMENT))


def _being_retried(random: Random) -> Body:
    return _with_plan("again", work=random.choice((0.0, 0.001)), failures=random.choice((2, 3, 9)))


def _with_plan(task: str, **plan: Any) -> Body:
    return {"task": task, "params": {"plan": plan}}


KINDS: Final[dict[str, Callable[[Random], Body]]] = {
    "about to end": _about_to_end,
    "about to fail": _about_to_fail,
    "about to start": _about_to_start,
    "waiting": _waiting,
    "cleaning up": _cleaning_up,
    "being retried": _being_retried,
}


class Races:
    """Many of them, against one server."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.load = Load(seed)
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """How many races of each kind ended in each way."""
        self._evidence = folder / "evidence"
        self._folder = folder
        self._random = self.load.random

    async def run(self, count: int) -> list[str]:
        """Run so many; gives what was wrong."""
        kinds = iter([list(KINDS)[number % len(KINDS)] for number in range(count)])
        settings = {"AWAITD_TASKS": TASKS, EVIDENCE: str(self._evidence)}
        with ForkedServer(self._folder, **settings) as server:
            await asyncio.gather(*(self._racer(server.url, kinds) for _ in range(AT_ONCE)))
        self.load.history.lines += read_evidence(self._evidence)
        return violations(self.load.history)

    async def _racer(self, url: str, kinds: Any) -> None:
        for kind in kinds:  # each on wires of its own: the server closes those that are idle
            async with AsyncExitStack() as stack:
                wires = [await stack.enter_async_context(Wire(url)) for _ in range(DELETES)]
                await self._race(kind, wires)

    async def _race(self, kind: str, wires: list[Wire]) -> None:
        body = KINDS[kind](self._random)
        submitted = await wires[0].ask("POST", "/jobs", body)
        self.load.saw(submitted, "submit", body)
        job_id = submitted.json["id"]
        some = wires[: self._random.randint(1, DELETES)]
        await asyncio.sleep(self._random.uniform(0, MOMENT))
        await asyncio.gather(*(self._delete(wire, job_id) for wire in some))
        await self.load.read(wires[0], job_id, "last", PATIENCE)
        self.outcomes[kind, self._outcome(job_id)] += 1

    async def _delete(self, wire: Wire, job_id: str) -> None:
        if self._random.random() < 0.5:
            await asyncio.sleep(self._random.uniform(0, MOMENT))
        await self.load.cancel(wire, job_id)

    def _outcome(self, job_id: str) -> str:
        job = self.load.jobs[job_id]
        if job["status"] == "cancelled" and job["started_at"] is None:
            return "cancelled while pending"
        return str(job["status"])
