"""The simulated event loop: what it shuffles, what it keeps in order, and how it ends."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from tests.simulation.loop import Crash, SimulatedLoop


def run(
    main: Callable[[], Coroutine[Any, Any, Any]], seed: int = 0, disorder: float = 1.0
) -> SimulatedLoop:
    """Run a coroutine to its end; gives the loop."""
    loop = SimulatedLoop(Random(seed), 100.0, disorder)
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    return loop


def order_of(seed: int, disorder: float) -> list[int]:
    """In which order callbacks run that became ready one after the other."""
    order: list[int] = []

    async def main() -> None:
        for number in range(6):
            asyncio.get_running_loop().call_soon(order.append, number)
        await asyncio.sleep(1)

    run(main, seed, disorder)
    return order


def test_shuffles() -> None:
    """What is ready runs in an order of the seed's, each once; without disorder in turn."""
    orders = [order_of(seed, 1.0) for seed in range(20)]
    assert len({tuple(order) for order in orders}) > 10
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert orders == [order_of(seed, 1.0) for seed in range(20)]
    assert order_of(3, 0.0) == list(range(6))


@pytest.mark.parametrize("seed", range(10))
def test_posted_keep_their_order(seed: int) -> None:
    """What other threads post runs in the order in which they posted it."""
    order: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(6):
            loop.call_soon(order.append, -number)
            loop.call_soon_threadsafe(order.append, number)
        await asyncio.sleep(1)

    run(main, seed)
    assert [number for number in order if number > 0] == [1, 2, 3, 4, 5]


def test_clock() -> None:
    """Timers run in the order of their times, and at them."""
    seen: list[tuple[float, float]] = []

    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((seconds, asyncio.get_running_loop().time()))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for seconds in (0.3, 1e6, 0.1, 7.0):
                group.create_task(wait(seconds))

    run(main)
    assert seen == [(seconds, 100.0 + seconds) for seconds in (0.1, 0.3, 7.0, 1e6)]


def test_crash() -> None:
    """After a crash nothing runs any more, and the turns are counted until then."""
    seen: list[str] = []
    loop = SimulatedLoop(Random(0), 0.0, 1.0)

    async def main() -> None:
        seen.append("begins")
        loop.call_soon(seen.append, "never")
        loop.call_soon_threadsafe(seen.append, "never")
        loop.ready.crash()
        await asyncio.sleep(1)
        seen.append("never")

    coroutine = main()
    with pytest.raises(Crash):
        loop.run_until_complete(coroutine)
    assert seen == ["begins"]
    for task in asyncio.all_tasks(loop):
        task.get_coro().close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()


def test_stuck() -> None:
    """A loop in which nothing can ever happen says so."""
    loop = SimulatedLoop(Random(0), 0.0, 1.0)
    with pytest.raises(RuntimeError, match="nothing is ready"):
        loop.select(None)
    loop.close()
