"""Both engines side by side: latencies, and what a job costs API nodes, workers and PostgreSQL.

The load has one processor, all processes of all nodes and the database share the others: with two
processors the jobs a second are those of one. The CPU time of a job is what extrapolates.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

from benchmarks import nodes
from benchmarks.figures import Figure, Rounds, Sample, number, run_rounds
from benchmarks.latencies import EMBEDDED, measure_latencies
from benchmarks.load import get_json, wait_until_idle
from benchmarks.nodes import Nodes
from benchmarks.peers.load import NOOP, Load, clients, flood, get, run
from benchmarks.processes import SERVER_CPUS, Server

CLIENTS: Final = 32
LABELS: Final = {"api": "API nodes", "worker": "workers", "database": "PostgreSQL"}
KINDS: Final = tuple(LABELS)

WAL: Final = (
    "SELECT pg_current_wal_insert_lsn() - '0/0', "
    "coalesce((to_jsonb(w) ->> 'wal_sync')::bigint, 0) FROM pg_stat_wal AS w"
)
"""Bytes so far, and syncs as far as this PostgreSQL counts them there."""

SIZES: Final = (
    "VACUUM jobs; SELECT pg_table_size('jobs'), pg_indexes_size('jobs'), "
    "(SELECT count(*) FROM jobs)"
)

Start = Callable[[], AbstractContextManager[Nodes]]


def measure(quick: bool) -> Iterator[Figure]:
    """Latencies, costs by processes, what an idle node costs."""
    with nodes.postgres() as database:
        yield from measure_latencies(database, quick)
        yield from _costs(database, quick)
        with nodes.cluster(database, 1, 1) as system:
            time.sleep(1 if quick else 5)
            yield _idle(system, 3.0 if quick else 60.0)
            yield from _unasked(system, 500 if quick else 10_000)


def _costs(database: tuple[Server, str], quick: bool) -> Iterator[Figure]:
    """What a job costs that is submitted and polled to its end, by the number of nodes."""
    seconds, rounds = (1.0, 1) if quick else (4.0, 3)
    sizes = [(1, 1)] if quick else [(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (2, 4)]
    starts: dict[str, Start] = {
        EMBEDDED: nodes.journal,
        "PostgreSQL, one process": partial(nodes.cluster, database, 1, 0, both=True),
    }
    for apis, workers in sizes:
        starts[_name(apis, workers)] = partial(nodes.cluster, database, apis, workers)
    measured = run_rounds(
        {name: partial(_busy, start, seconds) for name, start in starts.items()}, rounds
    )
    many = f"{len(SERVER_CPUS)} processor{'s' if len(SERVER_CPUS) > 1 else ''}"
    how = f"{CLIENTS} clients, submitted and polled, {rounds} rounds; all of it on {many}"
    for name in starts:
        yield _cost(f"CPU of a job, {name}", measured, name, how)


def _name(apis: int, workers: int) -> str:
    return (
        f"PostgreSQL, {apis} API node{'s' if apis > 1 else ''}, "
        f"{workers} worker{'s' if workers > 1 else ''}"
    )


def _cost(name: str, measured: Rounds, who: str, how: str) -> Figure:
    parts = ", ".join(
        f"{LABELS[kind]} {number(measured.median(who, kind))}"
        for kind in KINDS
        if measured.median(who, kind) > 1
    )
    detail = f"µs: {parts}; {number(measured.median(who, 'jobs'))} jobs/s"
    if polls := measured.median(who, "polls"):
        detail += f", {number(polls)} polls for a job"
    value = measured.median(who, "all")
    return Figure(name=name, value=value, unit="µs", how=how, detail=detail)


def _busy(start: Start, seconds: float) -> Sample:
    with start() as system:
        run(_clients(system.ports, 0.7))  # warm
        before = system.cpu_seconds()
        load = run(_clients(system.ports, seconds))
        wait_until_idle(system.apis[0])
        return _by_kind(system, before, load.jobs) | {
            "jobs": load.jobs / seconds,
            "polls": load.polls / load.jobs,
        }


async def _clients(ports: list[int], seconds: float) -> Load:
    share = CLIENTS // len(ports)
    loads = await asyncio.gather(*(clients(port, share, seconds, NOOP) for port in ports))
    return Load([each for load in loads for each in load.seconds], sum(x.polls for x in loads))


def _by_kind(system: Nodes, before: dict[str, float], jobs: int) -> dict[str, float]:
    """CPU microseconds of a job, by kind of process and of all."""
    after = system.cpu_seconds()
    found = {kind: (after[kind] - before[kind]) / jobs * 1e6 for kind in KINDS}
    return found | {"all": sum(found.values())}


def _idle(system: Nodes, seconds: float) -> Figure:
    before = system.cpu_seconds()
    time.sleep(seconds)
    after = system.cpu_seconds()
    minute = {kind: (after[kind] - before[kind]) / seconds * 60 for kind in KINDS}
    return Figure(
        name="idle, an API node, a worker and PostgreSQL",
        value=sum(minute.values()),
        unit="CPU s a minute",
        how=f"{seconds:.0f} s without a job",
        detail=", ".join(f"{LABELS[kind]} {number(minute[kind])}" for kind in KINDS),
    )


def _unasked(system: Nodes, jobs: int) -> Iterator[Figure]:
    """What a job costs that nobody asks for, on disk too, and what asking costs."""
    port = system.ports[0]
    run(flood(port, [NOOP] * (jobs // 5), CLIENTS))
    wait_until_idle(system.apis[0])
    [(wal, syncs)] = system.ask(WAL)
    before, began = system.cpu_seconds(), time.monotonic()
    run(flood(port, [NOOP] * jobs, CLIENTS))
    wait_until_idle(system.apis[0])
    seconds = time.monotonic() - began
    found: Sample = _by_kind(system, before, jobs) | {"jobs": jobs / seconds, "polls": 0}
    [(wal_after, syncs_after)] = system.ask(WAL)
    yield _cost(
        "CPU of a job that nobody asks for, PostgreSQL, 1 API node, 1 worker",
        Rounds({"it": [found]}),
        "it",
        f"{jobs:,} submissions on {CLIENTS} connections",
    )
    yield Figure(
        name="write-ahead log of a job",
        value=float(wal_after - wal) / jobs,
        unit="bytes",
        how="the same jobs",
        detail=f"{number((syncs_after - syncs) / jobs)} syncs for a job" if syncs else "",
    )
    yield _asking(system, jobs)
    [(table, indexes, rows)] = system.ask(SIZES)
    yield Figure(
        name="disk for a finished small job, PostgreSQL",
        value=float(table + indexes) / rows,
        unit="bytes",
        how=f"{rows:,} no-op jobs after VACUUM",
        detail=f"the table {number(table / rows)}, its indexes {number(indexes / rows)}",
    )


def _asking(system: Nodes, count: int) -> Figure:
    job = get_json(f"{system.apis[0].url}/jobs?limit=1")["items"][0]["id"]
    before = system.cpu_seconds()
    run(flood(system.ports[0], [get(f"/jobs/{job}")] * count, CLIENTS))
    found = _by_kind(system, before, count)
    return Figure(
        name="CPU of a GET of a job, PostgreSQL",
        value=found["all"],
        unit="µs",
        how=f"{count:,} on {CLIENTS} connections",
        detail=", ".join(f"{LABELS[kind]} {number(found[kind])}" for kind in ("api", "database")),
    )
