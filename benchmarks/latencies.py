"""How long a submission, a start and a cancel take: embedded, on the same node, on another one."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks import nodes
from benchmarks.figures import ROUNDS, Figure, Rounds, Sample, number, percentile, run_rounds
from benchmarks.nodes import Nodes
from benchmarks.peers.load import Connection, connections, get, id_of, post, run
from benchmarks.processes import Server

RATE: Final = 25

EMBEDDED: Final = "embedded engine"
SAME: Final = "PostgreSQL, on the same node"
OTHER: Final = "PostgreSQL, on another node"

BEGUN: Final = post(b'{"task":"begun"}')
STOPPED: Final = post(b'{"task":"stopped"}')


def measure_latencies(database: tuple[Server, str], quick: bool) -> Iterator[Figure]:
    """At a modest rate: from a submission to its 202, to the first step; from a DELETE to the end.

    All three systems run meanwhile, and take turns.
    """
    seconds, cancels, rounds = (1.0, 5, 1) if quick else (6.0, 50, ROUNDS)
    with ExitStack() as stack:
        systems = {
            EMBEDDED: stack.enter_context(nodes.journal()),
            SAME: stack.enter_context(nodes.cluster(database, 1, 0, both=True)),
            OTHER: stack.enter_context(nodes.cluster(database, 1, 1)),
        }
        for system in systems.values():
            run(_starts(system.ports[0], 1.0))
        starts = run_rounds(
            {name: partial(_start, system, seconds) for name, system in systems.items()}, rounds
        )
        stops = run_rounds(
            {name: partial(_stop, system, cancels) for name, system in systems.items()}, rounds
        )
    jobs = f"{RATE} jobs/s, {round(RATE * seconds)} a round, {rounds} rounds, median"
    for who in systems:
        yield _latency(f"submission to its 202, p50, {who}", starts, who, "submit", jobs)
    for who in systems:
        yield _latency(f"202 to the coroutine's first step, p50, {who}", starts, who, "start", jobs)
    each = f"one after the other, {cancels} a round, {rounds} rounds, median"
    for who in systems:
        yield _latency(f"DELETE to `CancelledError`, p50, {who}", stops, who, "stop", each)


def _latency(name: str, measured: Rounds, who: str, what: str, how: str) -> Figure:
    must, aim = (10, 5) if who == OTHER and what != "submit" else (None, None)
    detail = f"p99 {number(measured.median(who, f'{what}_p99'))} ms"
    if what == "start":
        p50, p99 = (number(measured.median(who, f"sent_{each}")) for each in ("p50", "p99"))
        detail += f"; from the submission's sending {p50}, p99 {p99} ms"
    value = measured.median(who, f"{what}_p50")
    return Figure(name=name, value=value, unit="ms", must=must, aim=aim, how=how, detail=detail)


def _start(system: Nodes, seconds: float) -> Sample:
    times = run(_starts(system.ports[0], seconds))
    found = {
        "submit": [accepted - sent for sent, accepted, _ in times],
        "start": [begun - accepted for _, accepted, begun in times],
        "sent": [begun - sent for sent, _, begun in times],
    }
    return _percentiles(found)


def _percentiles(found: dict[str, list[float]]) -> Sample:
    return {
        f"{what}_p{percent}": percentile(values, percent) * 1e3
        for what, values in found.items()
        for percent in (50, 99)
    }


async def _starts(port: int, seconds: float) -> list[tuple[float, float, float]]:
    """When each of some jobs was sent, accepted and begun; nobody asks for them meanwhile."""
    accepted: list[tuple[float, float, str]] = []

    async def one(connection: Connection, free: list[Connection]) -> None:
        sent = time.monotonic()
        body = await connection.request(BEGUN)
        accepted.append((sent, time.monotonic(), id_of(body)))
        free.append(connection)

    async with connections(port, 32) as free:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for nth in range(round(RATE * seconds)):
                await asyncio.sleep(began + nth / RATE - time.monotonic())
                group.create_task(one(free.pop(0), free))
        return [
            (sent, taken, nodes.result_of(await _ended(free[0], job)))
            for sent, taken, job in accepted
        ]


def _stop(system: Nodes, count: int) -> Sample:
    return _percentiles({"stop": run(_stops(system.ports[0], count))})


async def _stops(port: int, count: int) -> list[float]:
    """How long each of some running jobs took to hear of its cancel, in seconds."""
    found = []
    async with connections(port, 1) as (connection,):
        for _ in range(count):
            job = id_of(await connection.request(STOPPED))
            await _begun(connection, job)
            await asyncio.sleep(0.02)  # its first step follows its status
            sent = time.monotonic()
            await connection.request(_delete(job))
            found.append(nodes.result_of(await _ended(connection, job)) - sent)
    return found


async def _begun(connection: Connection, job: str) -> None:
    for _ in range(5_000):
        if b'"running"' in await connection.request(get(f"/jobs/{job}")):
            return
        await asyncio.sleep(0.002)
    raise RuntimeError("a job has not begun")


def _delete(job: str) -> bytes:
    return get(f"/jobs/{job}").replace(b"GET", b"DELETE", 1)


async def _ended(connection: Connection, job: str) -> bytes:
    body = await connection.request(get(f"/jobs/{job}", prefer="wait=30"))
    if not json.loads(body)["done"]:
        raise RuntimeError(f"it has not ended: {body!r}")
    return body
