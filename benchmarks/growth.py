"""How the CPU time of a job grows: over connections, over jobs in the journal, over its result.

A job is submitted and polled by the client of `benchmarks.peers.load`, or waited for in its POST.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import apsw

from app.engines.embedded.migrations import migrate
from benchmarks.figures import Figure, Sample, number, run_rounds
from benchmarks.http import awaitd
from benchmarks.lists import fill
from benchmarks.load import wait_until_idle
from benchmarks.peers.load import NOOP, WAITING_NOOP, Connection, clients, get, post, run
from benchmarks.processes import Server

ROUNDS: Final = 3
CLIENTS: Final = 32
"""Where connections are not what changes."""

CONNECTIONS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
FINISHED: Final = (0, 1_000, 10_000, 100_000, 1_000_000)
SIZES: Final = (0, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_048_574)
"""Characters of a result; with its two quotes the last is the largest that is kept by default."""

POLLED: Final = "by connections, polled"
WAITED: Final = "by connections, waited for"
KEPT: Final = "by finished jobs in the journal"
RESULT: Final = "by bytes of its result"

LIVEZ: Final = get("/livez")

Turn = Callable[[], Sample]


def measure(quick: bool) -> Iterator[Figure]:
    """A figure for each point of each curve."""
    seconds, step = (0.5, 3) if quick else (2.0, 1)
    with served() as server:
        for curve, request in ((POLLED, NOOP), (WAITED, WAITING_NOOP)):
            yield from _curve(curve, {
                count: partial(_turn, server, count, seconds, request)
                for count in CONNECTIONS[::step]
            })  # fmt: skip
    with ExitStack() as stack:
        yield from _curve(KEPT, {
            count: partial(_turn, stack.enter_context(served(count)), CLIENTS, seconds, NOOP)
            for count in FINISHED[: 2 if quick else None]
        })  # fmt: skip
    with served() as server:
        yield from _curve(RESULT, {
            size: partial(_turn, server, CLIENTS, seconds, _text(size)) for size in SIZES[::step]
        })  # fmt: skip


def points(figures: Sequence[Figure]) -> dict[str, list[tuple[int, float]]]:
    """The curves that these figures are of: x and microseconds."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for figure in figures:
        curve, _, x = figure.name.removeprefix(_PREFIX).rpartition(": ")
        curves.setdefault(curve, []).append((int(x.replace(",", "")), figure.value))
    return curves


_PREFIX: Final = "CPU of a job "


def _curve(curve: str, turns: dict[int, Turn]) -> Iterator[Figure]:
    measured = run_rounds({str(count): turn for count, turn in turns.items()}, ROUNDS)
    for count in turns:
        polls, rate = (measured.median(str(count), what) for what in ("polls", "rate"))
        yield Figure(
            name=f"{_PREFIX}{curve}: {count:,}",
            value=measured.median(str(count), "cpu_us"),
            unit="µs",
            how=f"{ROUNDS} rounds, median",
            detail=f"{measured.spread(str(count), 'cpu_us')}; {number(polls)} polls for a job; "
            f"{number(rate)} jobs/s",
        )


def _turn(server: Server, connections: int, seconds: float, request: bytes) -> Sample:
    before = 0.0

    async def begin(opened: list[Connection]) -> None:
        """Opening connections is not counted: many of them run few jobs each here."""
        nonlocal before
        for connection in opened:
            await connection.request(LIVEZ)
        before = server.cpu_seconds()

    load = run(clients(server.port, connections, seconds, request, begin))
    wait_until_idle(server)
    return {
        "cpu_us": (server.cpu_seconds() - before) / load.jobs * 1e6,
        "polls": load.polls / load.jobs,
        "rate": load.jobs / seconds,
    }


@contextlib.contextmanager
def served(finished: int = 0) -> Iterator[Server]:
    """A warm awaitd whose journal has so many finished jobs."""
    with tempfile.TemporaryDirectory() as folder:
        if finished:
            db = apsw.Connection(str(Path(folder) / "journal.sqlite3"))
            migrate(db)
            fill(db, finished)
            db.close()
        with awaitd(folder, retention=str(100 * 365 * 86400)) as server:  # they are of 2023
            _turn(server, CLIENTS, 0.5, NOOP)
            yield server


def _text(size: int) -> bytes:
    return post(json.dumps({"task": "text", "params": {"size": size}}).encode())
