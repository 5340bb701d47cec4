"""End to end: submit a no-op job over HTTP and fetch its result, with awaitd and with its peers.

CPU time is that of all processes of a system: what answers HTTP, workers, broker, database.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks.figures import QUICK_ROUNDS, ROUNDS, Figure, Rounds, Sample, number, run_rounds
from benchmarks.peers import systems
from benchmarks.peers.load import NOOP, WAITING_NOOP, clients, run, steady
from benchmarks.peers.systems import System

CLIENTS: Final = 32
RATE: Final = 50
CALM_ROUNDS: Final = 3
OURS: Final = "awaitd"
WAITED: Final = "awaitd, Prefer: wait"

PEERS: Final = {
    "BackgroundTasks and a dict": systems.background,
    "SAQ": systems.saq,
    "Celery": systems.celery,
    "Procrastinate": systems.procrastinate,
}

LEAST: Final = {"SAQ": (8, 12), "Celery": (20, 29), "Procrastinate": (30, 44)}
"""Must and aim of awaitd's jobs for a CPU second to theirs."""


def measure(quick: bool) -> Iterator[Figure]:
    """What a job costs in each system, how long it takes and what memory the system has."""
    seconds = 0.8 if quick else 3.0
    with ExitStack() as stack:
        running = {OURS: stack.enter_context(systems.awaitd())}
        for name, start in PEERS.items():
            running[name] = stack.enter_context(start())
        for system in running.values():
            run(clients(system.port, CLIENTS, seconds / 2))  # warm, and all workers up
        turns: dict[str, Callable[[], Sample]] = {
            name: partial(_busy, system, seconds, NOOP) for name, system in running.items()
        }
        turns[WAITED] = partial(_busy, running[OURS], seconds, WAITING_NOOP)
        busy = run_rounds(turns, QUICK_ROUNDS if quick else ROUNDS)
        calm = run_rounds(
            {name: partial(_calm, system, 1.5 * seconds) for name, system in running.items()},
            1 if quick else CALM_ROUNDS,
        )
        memory = {name: system.memory_bytes() / 1e6 for name, system in running.items()}
    yield from _ratios(busy)
    yield from _absolute(busy, calm, memory)


def _busy(system: System, seconds: float, request: bytes) -> Sample:
    """As many jobs as the clients get through."""
    before = system.cpu_seconds()
    load = run(clients(system.port, CLIENTS, seconds, request))
    cpu = (system.cpu_seconds() - before) / load.jobs
    return {"cpu_us": cpu * 1e6, "polls": load.polls / load.jobs, "jobs": load.jobs / seconds}


def _calm(system: System, seconds: float) -> Sample:
    """A few jobs a second."""
    load = run(steady(system.port, RATE, seconds))
    return {"p50": load.milliseconds(50), "p99": load.milliseconds(99)}


def _ratios(busy: Rounds) -> Iterator[Figure]:
    how = f"{CLIENTS} clients, {len(busy.samples[OURS])} rounds"
    for peer in PEERS:
        detail = f"awaitd {_cost(busy, OURS)}, {peer} {_cost(busy, peer)}"
        if peer in LEAST:
            must, aim = LEAST[peer]
            yield Figure(
                name=f"end to end, jobs for a CPU second, to {peer}",
                value=busy.ratio("cpu_us", of=peer, to=OURS),
                must=must,
                aim=aim,
                is_floor=True,
                how=how,
                detail=detail,
            )
        else:
            yield Figure(
                name=f"end to end, CPU for a job, to {peer}",
                value=busy.ratio("cpu_us", of=OURS, to=peer),
                must=0.6,
                aim=0.35,
                how=how,
                detail=detail,
            )


def _absolute(busy: Rounds, calm: Rounds, memory: Mapping[str, float]) -> Iterator[Figure]:
    for name in busy.samples:
        yield Figure(
            name=f"end to end, CPU for a job, {name}",
            value=busy.median(name, "cpu_us"),
            unit="µs",
            how=f"{CLIENTS} clients, {len(busy.samples[name])} rounds",
            detail=f"{busy.spread(name, 'cpu_us')}; {number(busy.median(name, 'jobs'))} jobs/s, "
            f"{number(busy.median(name, 'polls'))} polls for a job",
        )
    for name in calm.samples:
        yield Figure(
            name=f"submitted to seen done, p99, {name}",
            value=calm.median(name, "p99"),
            unit="ms",
            how=f"{RATE} jobs/s, {len(calm.samples[name])} rounds",
            detail=f"p50 {number(calm.median(name, 'p50'))} ms",
        )
    for name, megabytes in memory.items():
        yield Figure(
            name=f"memory of the whole system, {name}",
            value=megabytes,
            unit="MB",
            how="proportional, all processes, after these jobs",
        )


def _cost(busy: Rounds, name: str) -> str:
    return f"{number(busy.median(name, 'cpu_us'))} µs"
