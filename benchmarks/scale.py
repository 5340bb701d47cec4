"""Scale: a million finished jobs, 100,000 that run, 5,000 clients that wait."""

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from benchmarks.figures import Figure, number, percentile
from benchmarks.http import awaitd
from benchmarks.load import get_json, wait_until_idle
from benchmarks.peers.load import (
    Connection,
    Load,
    ask,
    connections,
    flood,
    get,
    id_of,
    post,
    run,
    run_job,
    steady,
)
from benchmarks.processes import Server
from benchmarks.stalls import stall_figure, stalls


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    finished: int
    running: int
    waiters: int
    seconds: float
    """How long stalls are watched for."""

    pages: int
    """How often each page is asked for."""


FULL: Final = Scale(1_000_000, 100_000, 5_000, seconds=20.0, pages=200)
QUICK: Final = Scale(20_000, 5_000, 500, seconds=2.0, pages=20)

RATE: Final = 200
PAGE_RATE: Final = 20
EVERY: Final = 100
"""One job of so many fails, and has a label."""

NOOP: Final = post(b'{"task":"noop"}')

FILTERS: Final[dict[str, list[tuple[str, str]]]] = {
    "no filter": [],
    "status": [("status", "completed")],
    "rare status": [("status", "failed")],
    "task": [("task", "noop")],
    "rare task": [("task", "fail")],
    "rare label": [("label", "order:7")],
    "status with task": [("status", "completed"), ("task", "noop")],
    "rare status with task": [("status", "failed"), ("task", "fail")],
    "status with task, none fits": [("status", "failed"), ("task", "noop")],
}


def measure(quick: bool) -> Iterator[Figure]:
    """Memory, disk, pages, restart and stalls with many jobs of each kind."""
    if not quick:
        yield from _figures(FULL)
    else:  # what must be reached is stated for the full scale
        yield from (replace(figure, must=None, aim=None) for figure in _figures(QUICK))


def _figures(scale: Scale) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        with awaitd(folder) as server:
            marks, memory = _finish_jobs(server, scale.finished)
        yield from _size_figures(scale, memory, Path(folder))
        began = time.perf_counter()
        with awaitd(folder, max_running=str(scale.waiters + 1_000)) as server:
            yield Figure(
                name=f"restart with {scale.finished:,} finished jobs, to ready",
                value=time.perf_counter() - began,
                unit="s",
                how="ended by SIGTERM before",
            )
            yield from _page_figures(scale, server, marks)
            yield _busy_stalls(scale, server)
            yield from run(_waiting(scale, server))
    yield from _running_figures(scale)


def _finish_jobs(server: Server, jobs: int) -> tuple[dict[str, str], list[float]]:
    """Run so many; gives the cursors of pages at some depths, and memory after each tenth."""
    marks = {}
    memory = []
    for tenth in range(10):
        numbers = range(tenth * jobs // 10, (tenth + 1) * jobs // 10)
        run(flood(server.port, (_submission(number) for number in numbers)))
        wait_until_idle(server)
        memory.append(server.resident_bytes() / 1e6)
        if tenth in (0, 4):
            marks["at the end" if tenth == 0 else "in the middle"] = _cursor(server)
    return marks, memory


def _submission(number: int) -> bytes:
    if number % EVERY:
        return NOOP
    labels = {"order": str(number // EVERY % 1_000)}
    return post(json.dumps({"task": "fail", "labels": labels}).encode())


def _cursor(server: Server) -> str:
    """That of the page after what is now the newest job."""
    cursor: str = get_json(f"{server.url}/jobs?limit=1")["next"]
    return cursor


def _size_figures(scale: Scale, memory: list[float], folder: Path) -> Iterator[Figure]:
    jobs = f"{scale.finished:,} finished jobs"
    yield Figure(
        name=f"resident memory after {jobs}",
        value=memory[-1],
        unit="MB",
        must=120,
        aim=90,
        how="run one after another over HTTP, 64 connections",
        detail=f"after each tenth: {', '.join(map(number, memory))}",
    )
    size = sum(path.stat().st_size for path in folder.iterdir())
    yield Figure(
        name=f"disk for a finished small job, {jobs}",
        value=size / scale.finished,
        unit="bytes",
        must=250,
        aim=180,
        how="all files of the data directory after the server's end",
        detail=f"one in {EVERY} failed and has a label",
    )


def _page_figures(scale: Scale, server: Server, marks: dict[str, str]) -> Iterator[Figure]:
    depths = {"at the top": [], **{depth: [("cursor", mark)] for depth, mark in marks.items()}}
    for name, filters in FILTERS.items():
        times = {
            depth: run(_times(server.port, urlencode(filters + cursor), scale.pages))
            for depth, cursor in depths.items()
        }
        worst = max(times, key=lambda depth: percentile(times[depth], 50))
        shown = ", ".join(
            f"{depth} {number(percentile(each, 50))} and {number(percentile(each, 99))}"
            for depth, each in times.items()
        )
        yield Figure(
            name=f"list page, {name}, {scale.finished:,} jobs, p50",
            value=percentile(times[worst], 50),
            unit="ms",
            must=2,
            aim=1,
            how=f"50 jobs a page over HTTP, the slowest depth, {scale.pages} times each",
            detail=f"p50 and p99: {shown}",
        )


async def _times(port: int, query: str, count: int) -> list[float]:
    """The milliseconds that a page takes, again and again."""
    request = get(f"/jobs?{query}")
    times = []
    async with connections(port, 1) as (connection,):
        for _ in range(count):
            before = time.perf_counter()
            await connection.request(request)
            times.append((time.perf_counter() - before) * 1e3)
    return times


def _busy_stalls(scale: Scale, server: Server) -> Figure:
    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(steady(server.port, RATE, scale.seconds))
            group.create_task(_list_pages(server.port, scale.seconds))

    late = run(stalls(server.port, scale.seconds, work()))
    meanwhile = f"{RATE} jobs and {PAGE_RATE} pages a second"
    return stall_figure(f"{scale.finished:,} finished jobs", late, meanwhile)


async def _list_pages(port: int, seconds: float) -> None:
    async with connections(port, 1) as (connection,):
        for turn in range(round(PAGE_RATE * seconds)):
            filters = list(FILTERS.values())[turn % len(FILTERS)]
            await connection.request(get(f"/jobs?{urlencode(filters)}"))
            await asyncio.sleep(1 / PAGE_RATE)


async def _waiting(scale: Scale, server: Server) -> list[Figure]:
    """Clients that submit a sleeping job each and wait for its end."""
    before = server.resident_bytes()
    body = {"task": "sleep", "params": {"seconds": 2 * scale.seconds}}
    request = post(json.dumps(body).encode(), prefer="wait=50")
    async with connections(server.port, scale.waiters) as opened, asyncio.TaskGroup() as group:
        waiters = [group.create_task(_wait(connection, request)) for connection in opened]
        running = 0
        while running < scale.waiters:
            running = json.loads(await ask(server.port, get("/readyz")))["running"]
        each = (server.resident_bytes() - before) / scale.waiters
        late = await stalls(server.port, scale.seconds / 2, asyncio.sleep(0))
    return [
        Figure(
            name="memory for a client that waits, with its running job",
            value=each / 1e3,
            unit="kB",
            how=f"{scale.waiters:,} connections, each with a job of its own and Prefer: wait",
        ),
        stall_figure(f"{scale.waiters:,} waiters", late, "all wait"),
        Figure(
            name=f"a job's end to its waiter's answer, {scale.waiters:,} waiters, p99",
            value=percentile((waiter.result() for waiter in waiters), 99),
            unit="ms",
            how="ends as close together as the submissions were",
        ),
    ]


async def _wait(connection: Connection, request: bytes) -> float:
    """Submit and wait; gives the milliseconds from the job's end to its answer."""
    body = await connection.request(request)
    while b'"done":true' not in body:
        body = await connection.request(get(f"/jobs/{id_of(body)}", prefer="wait=50"))
    ended = datetime.fromisoformat(json.loads(body)["finished_at"])
    return (datetime.now(UTC) - ended).total_seconds() * 1e3


def _running_figures(scale: Scale) -> Iterator[Figure]:
    sleep = post(b'{"task":"sleep","params":{"seconds":86400}}')
    with (
        tempfile.TemporaryDirectory() as folder,
        awaitd(folder, max_running=str(scale.running + 1_000)) as server,
    ):
        run(_one_job(server.port))  # all is loaded that a job needs
        before = server.resident_bytes()
        run(flood(server.port, (sleep for _ in range(scale.running))))
        each = (server.resident_bytes() - before) / scale.running
        cpu = server.cpu_seconds()
        time.sleep(scale.seconds / 4)
        idle = (server.cpu_seconds() - cpu) / (scale.seconds / 4)
        late = run(stalls(server.port, scale.seconds, steady(server.port, RATE, scale.seconds)))
        os.kill(server.process.pid, signal.SIGKILL)  # else it would cancel them all, in peace
    how = f"{scale.running:,} sleeping jobs"
    yield Figure(name=f"memory for a running job, {how}", value=each, unit="bytes", how=how)
    yield Figure(name=f"idle with {how}", value=100 * idle, unit="% of a processor", how=how)
    yield stall_figure(f"{scale.running:,} running jobs", late, f"{RATE} jobs a second beside them")


async def _one_job(port: int) -> None:
    async with connections(port, 1) as (connection,):
        await run_job(connection, NOOP, Load())
