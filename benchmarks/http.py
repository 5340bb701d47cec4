"""A durable POST and a GET to those of a FastAPI service that stores nothing, by wrk."""

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from benchmarks.figures import QUICK_ROUNDS, ROUNDS, Figure, Rounds, Sample, number, run_rounds
from benchmarks.load import get_json, load, wait_until_idle
from benchmarks.processes import Server, answers, find_program, free_port, started

CONNECTIONS: Final = (1, 32, 256)
STATED: Final = 32
"""The count of connections that must and aim are stated for."""

SECONDS: Final = 3.0
QUICK_SECONDS: Final = 1.0

BODY: Final = '{"task": "noop"}'

SPEED: Final[Mapping[str, tuple[float, float]]] = {"POST": (1.0, 1.9), "GET": (1.5, 4.0)}
P99: Final = (1.2, 0.6)


def measure(quick: bool) -> Iterator[Figure]:
    """Speed and p99 of each verb, at each count of connections."""
    find_program("wrk")
    seconds = QUICK_SECONDS if quick else SECONDS
    with servers() as running:
        job = finished_job(running["awaitd"])
        for verb, path, body in (("POST", "/jobs", BODY), ("GET", f"/jobs/{job}", None)):
            contestants = {name: partial(load, server, path) for name, server in running.items()}
            counts = (STATED,) if quick and verb == "GET" else CONNECTIONS
            for connections in counts:
                rounds = _rounds_of(quick, connections)
                turns: dict[str, Callable[[], Sample]] = {
                    name: partial(turn, connections, seconds, body)
                    for name, turn in contestants.items()
                }
                for turn in turns.values() if connections == counts[0] else ():
                    turn()  # so that nobody is measured cold
                measured = run_rounds(turns, rounds)
                yield from _figures(verb, connections, measured, f"wrk, {rounds} rounds, median")


@contextlib.contextmanager
def servers() -> Iterator[dict[str, Server]]:
    """One of awaitd with its journal on disk, a bare FastAPI service, a raw ASGI one; all ready."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        found = {"awaitd": stack.enter_context(awaitd(folder))}
        for kind in ("fastapi", "raw"):
            port = free_port()
            command = [sys.executable, "-m", "benchmarks.bare", kind, str(port)]
            found[kind] = stack.enter_context(started(command, port=port))
        yield found


def awaitd(folder: str, **settings: str) -> contextlib.AbstractContextManager[Server]:
    """`awaitd serve` with the tasks of the benchmarks; further settings by name."""
    port = free_port()
    named = {"data_dir": folder, "port": str(port), "tasks": "benchmarks.tasks", **settings}
    env = {f"AWAITD_{name.upper()}": value for name, value in named.items()}
    command = [sys.executable, "-m", "app", "serve"]
    return started(command, port=port, env=env, is_ready=answers("/readyz"))


def finished_job(server: Server) -> str:
    """The id of a job that has ended."""
    job: str = get_json(f"{server.url}/jobs", {"task": "noop"})["id"]
    wait_until_idle(server)
    return job


def _rounds_of(quick: bool, connections: int) -> int:
    if not quick:
        return ROUNDS
    return QUICK_ROUNDS if connections == STATED else 1


def _figures(verb: str, connections: int, measured: Rounds, how: str) -> Iterator[Figure]:
    stated = connections == STATED
    kind = "durable POST" if verb == "POST" else "GET of a job"
    at = f"{connections} connection{'s' if connections > 1 else ''}"
    must, aim = SPEED[verb] if stated else (None, None)
    yield Figure(
        name=f"{kind} to bare FastAPI's, speed, {at}",
        value=measured.ratio("cpu_us", "fastapi", "awaitd"),
        must=must,
        aim=aim,
        is_floor=True,
        how=f"CPU time, {at}, {how}",
        detail=f"CPU of a request in µs: {_each(measured, 'cpu_us')}; "
        f"requests a second: {_each(measured, 'rate')}",
    )
    must, aim = P99 if stated and verb == "POST" else (None, None)
    yield Figure(
        name=f"{kind} to bare FastAPI's, p99, {at}",
        value=measured.ratio("p99_ms", "awaitd", "fastapi"),
        must=must,
        aim=aim,
        how=f"{at}, each sending as fast as it is answered, {how}",
        detail=f"p99 in ms: {_each(measured, 'p99_ms')}; p50: {_each(measured, 'p50_ms')}",
    )


def _each(measured: Rounds, what: str) -> str:
    names = {"awaitd": "awaitd", "fastapi": "bare FastAPI", "raw": "raw ASGI"}
    return ", ".join(f"{names[name]} {number(measured.median(name, what))}" for name in names)
