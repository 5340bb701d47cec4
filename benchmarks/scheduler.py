"""A job in the scheduler to one in asyncio's own task, aiojobs and taskiq's broker in memory.

All in one process and on asyncio's own event loop: CPU time by its clock, memory by tracemalloc.
"""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final

import aiojobs
from taskiq import InMemoryBroker

from app.scheduler import BackgroundTaskScheduler
from benchmarks.figures import QUICK_ROUNDS, ROUNDS, Figure, Rounds, Sample, number, run_rounds

IN_FLIGHT: Final = 1_000
"""Jobs that have been submitted and not awaited."""

MAX_RUNNING: Final = 100
JOBS: Final = 20_000
QUICK_JOBS: Final = 3_000

MORE_ROUNDS: Final = 3
"""As many times more rounds than elsewhere, as they are short."""

KEPT: Final = 10_000

LIMITED: Final = f"awaitd with max_running={MAX_RUNNING}"

Work = Callable[[], Coroutine[Any, Any, None]]
Submit = Callable[[], Awaitable[Awaitable[object]]]
"""Hands a job over; what it gives ends when the job has."""

Run = Callable[[int, int], Coroutine[Any, Any, None]]
"""Runs so many jobs to their end, so many in flight at a time: `run(in_flight, jobs)`."""


async def noop() -> None:
    """Does nothing."""


async def suspend() -> None:
    """Lets others run once."""
    await asyncio.sleep(0)


async def sleep() -> None:
    """Sleeps for longer than anything is measured."""
    await asyncio.sleep(3600)


WORK: Final[dict[str, Work]] = {"no-op": noop, "suspends once": suspend}


def measure(quick: bool) -> Iterator[Figure]:
    """CPU time of a job, then memory for one."""
    rounds = MORE_ROUNDS * (QUICK_ROUNDS if quick else ROUNDS)
    jobs = QUICK_JOBS if quick else JOBS
    how = f"CPU time of {jobs:,} jobs a round, {rounds} rounds, median"
    for about, work in WORK.items():
        stated = about == "no-op"
        singles = race(work, 1, jobs, rounds)
        crowds = race(work, IN_FLIGHT, jobs, rounds)
        limits = (1.5, 1.2) if stated else None
        yield _speed(f"scheduler, one job at a time ({about})", "awaitd", singles, how, limits)
        limits = (1.0, 0.6) if stated else None
        name = f"scheduler, {IN_FLIGHT:,} in flight"
        yield _speed(f"{name}, {MAX_RUNNING} running ({about})", LIMITED, crowds, how, limits)
        yield _speed(f"{name}, all running ({about})", "awaitd", crowds, how, None)
    yield from _memory()


def race(work: Work, in_flight: int, jobs: int, rounds: int) -> Rounds:
    """The CPU time of a job in each system, so many in flight at a time."""
    gc.collect()
    gc.freeze()  # what was imported is not looked at again in each round
    with asyncio.Runner() as runner:
        systems = runner.run(_systems(work))
        turns: dict[str, Callable[[], Sample]] = {}
        for name, run in systems.items():
            count = max(in_flight, jobs // 10 if name == "taskiq" else jobs)  # slower by far
            turns[name] = partial(_turn, runner, run, in_flight, count)
            runner.run(run(in_flight, IN_FLIGHT))  # so that nobody is measured cold
        return run_rounds(turns, rounds)


async def _systems(work: Work) -> dict[str, Run]:
    """What can be given jobs inside one event loop."""
    free, limited = BackgroundTaskScheduler(), BackgroundTaskScheduler(max_running=MAX_RUNNING)
    spawner = aiojobs.Scheduler(limit=None)
    broker = InMemoryBroker(max_stored_results=2 * IN_FLIGHT, await_inplace=False)
    task = broker.task(work)

    async def of_aiojobs() -> Awaitable[object]:
        return (await spawner.spawn(work())).wait()

    async def of_taskiq() -> Awaitable[object]:
        return _ended(broker, await task.kiq())

    return {
        "create_task": partial(_raw, work),
        "awaitd": partial(_scheduled, free, work),
        LIMITED: partial(_scheduled, limited, work),
        "aiojobs": partial(_submitted, of_aiojobs),
        "taskiq": partial(_submitted, of_taskiq),
    }


# The same loops three times over: a call that they shared would make all look more alike.


async def _raw(work: Work, in_flight: int, jobs: int) -> None:
    if in_flight == 1:
        for _ in range(jobs):
            await asyncio.create_task(work())
        return
    for _ in range(jobs // in_flight):
        for job in [asyncio.create_task(work()) for _ in range(in_flight)]:
            await job


async def _scheduled(
    scheduler: BackgroundTaskScheduler, work: Work, in_flight: int, jobs: int
) -> None:
    if in_flight == 1:
        for _ in range(jobs):
            await scheduler.create_task(work)
        return
    for _ in range(jobs // in_flight):
        for job in [scheduler.create_task(work) for _ in range(in_flight)]:
            await job


async def _submitted(submit: Submit, in_flight: int, jobs: int) -> None:
    if in_flight == 1:
        for _ in range(jobs):
            await (await submit())
        return
    for _ in range(jobs // in_flight):
        for job in [await submit() for _ in range(in_flight)]:
            await job


async def _ended(broker: InMemoryBroker, job: Any) -> object:
    """The result of a job of taskiq, whose own `wait_result` looks every 0.2 s only."""
    if not await job.is_ready():
        await broker.wait_all()
    return await job.get_result()


def _turn(runner: asyncio.Runner, run: Run, in_flight: int, jobs: int) -> Sample:
    gc.collect()
    began = time.process_time()
    runner.run(run(in_flight, jobs))
    return {"cpu_us": (time.process_time() - began) / jobs * 1e6}


def _speed(
    name: str, contestant: str, measured: Rounds, how: str, limits: tuple[float, float] | None
) -> Figure:
    must, aim = limits or (None, None)
    each = (f"{each} {number(measured.median(each, 'cpu_us'))}" for each in measured.samples)
    return Figure(
        name=f"{name}, to raw create_task",
        value=measured.ratio("cpu_us", contestant, "create_task"),
        must=must,
        aim=aim,
        how=how,
        detail=f"µs a job: {', '.join(each)}",
    )


def _memory() -> Iterator[Figure]:
    how = f"tracemalloc, {KEPT:,} of them"
    yield Figure(
        name="finished job in memory, without its result",
        value=asyncio.run(_bytes_of("awaitd", noop, finished=True)),
        unit="bytes",
        must=400,
        aim=330,
        how=how,
        detail="what create_task gave, while somebody holds it; the scheduler keeps nothing",
    )
    each = {
        name: asyncio.run(_bytes_of(name, sleep, finished=False))
        for name in ("awaitd", "create_task", "aiojobs")
    }
    sizes = ", ".join(f"{name} {number(size)}" for name, size in each.items())
    yield Figure(
        name="sleeping job to a raw sleeping task, memory",
        value=each["awaitd"] / each["create_task"],
        must=1.5,
        aim=1.25,
        how=how,
        detail=f"bytes: {sizes}",
    )


async def _bytes_of(name: str, work: Work, *, finished: bool) -> float:
    """What tracemalloc counts for each of many jobs that are held."""
    hold = _holding(name)
    held: list[object] = [None] * KEPT
    # What is made once is not counted, nor asyncio's table of tasks, which never shrinks.
    warm = [await hold(noop) if finished else asyncio.create_task(noop()) for _ in range(KEPT)]
    await asyncio.sleep(0)
    del warm
    await hold(noop)
    await asyncio.sleep(0)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for index in range(KEPT):
        held[index] = await hold(work)
    while finished and len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110  no event says
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    running = len(asyncio.all_tasks()) - 1
    assert running == 0 if finished else running >= KEPT, running  # aiojobs has one of its own
    return (after - before) / KEPT


def _holding(name: str) -> Callable[[Work], Awaitable[object]]:
    """Starts a job and gives the very object that a caller holds."""
    ours, theirs = BackgroundTaskScheduler(), aiojobs.Scheduler(limit=None)

    async def create(work: Work) -> object:
        return ours.create_task(work) if name == "awaitd" else asyncio.create_task(work())

    async def spawn(work: Work) -> object:
        return await theirs.spawn(work())

    return spawn if name == "aiojobs" else create
