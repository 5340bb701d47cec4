"""How long a server's event loop is held up, seen from inside.

A job of the server's own sleeps 2 ms again and again, and notes how late the event loop woke it.
That counts what the system did meanwhile too.
"""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from benchmarks.figures import Figure, number, percentile
from benchmarks.peers.load import ask, get, id_of, post


async def stalls(port: int, seconds: float, meanwhile: Coroutine[Any, Any, Any]) -> list[float]:
    """How late, in milliseconds, the event loop woke a job while something else went on."""
    body = json.dumps({"task": "stalls", "params": {"seconds": seconds}}).encode()
    async with asyncio.TaskGroup() as group:
        group.create_task(meanwhile)
        job = id_of(await ask(port, post(body)))
        await asyncio.sleep(seconds)
    shown = b""
    while b'"done":true' not in shown:
        shown = await ask(port, get(f"/jobs/{job}", prefer="wait=10"))
    late: list[float] = json.loads(shown)["result"]
    return late


def stall_figure(name: str, late: list[float], meanwhile: str) -> Figure:
    """The stall that one in a thousand wakes exceeded."""
    shown = ", ".join(f"p{percent} {number(percentile(late, percent))}" for percent in (50, 99))
    return Figure(
        name=f"event-loop stall with {name}, p99.9",
        value=percentile(late, 99.9),
        unit="ms",
        must=20,
        aim=5,
        how=f"{meanwhile}; a job that wakes every 2 ms, {len(late):,} times",
        detail=f"{shown}, longest {number(max(late))} ms",
    )
