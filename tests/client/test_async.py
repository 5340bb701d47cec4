"""What only the client that awaits has."""

import asyncio
from pathlib import Path

import pytest

from app.client import AsyncAwaitd, JobFailed, Status
from tests.support.gates import open_gate
from tests.support.server import Server


async def test_a_handle_is_awaited(server: Server) -> None:
    """Awaiting a handle gives the result, None of a cancelled job, or raises."""
    async with AsyncAwaitd(server.url) as client:
        assert await (await client.submit("echo", value=1)) == 1
        job = await client.submit("never_end")
        await job.cancel()
        assert await job is None
        with pytest.raises(JobFailed):
            await (await client.submit("fail", message="x"))


async def test_many_wait_at_once(server: Server) -> None:
    """More waits than httpx has connections by itself are under way at once in one event loop."""
    async with AsyncAwaitd(server.url) as client:
        jobs = [await client.submit("hold") for _ in range(110)]
        waits = asyncio.gather(*jobs)
        await asyncio.sleep(0)
        await client.submit("release")
        assert await waits == [None] * 110


async def test_cancelling_who_waits_leaves_the_job_alone(server: Server, gate: Path) -> None:
    """A waiter that is cancelled, or has its own timeout, does not touch the job."""
    async with AsyncAwaitd(server.url) as client:
        job = await client.submit("wait_for_file", path=str(gate))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await job
        assert await job.status() is Status.RUNNING
        open_gate(gate, "on")
        assert await job.wait(timeout=30) == "on"


async def test_a_stream_that_is_left(server: Server) -> None:
    """Leaving a stream closes it, and the client goes on."""
    async with AsyncAwaitd(server.url) as client:
        job = await client.submit("never_end")
        events = job.events()
        assert (await anext(events)).kind == "status"
        await events.aclose()
        assert await job.cancel() is True
