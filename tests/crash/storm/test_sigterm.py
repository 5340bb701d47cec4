import asyncio
import time
from pathlib import Path

import pytest

from tests.crash.storm.history import Stop
from tests.crash.storm.storm import CLIENTS, Storm
from tests.crash.storm.wire import Gone, Wire
from tests.support.deep import deep
from tests.support.forked import ForkedServer

TIMES = deep(ordinary=1, deep=3)
GRACE = 0.4
"""Seconds until the server of a storm has interrupted its jobs, and they have cleaned up."""


async def first_refusal(server: ForkedServer) -> int:
    """The instant at which the server says that it drains; as good as never if it does not."""
    async with Wire(server.url) as wire:
        try:
            while (answer := await wire.ask("GET", "/readyz")).status == 200:
                pass
        except Gone:
            return time.monotonic_ns()
    return answer.at


async def terminate_under_load(storm: Storm) -> None:
    """Send SIGTERM to a server in the middle of everything; see what it accepts from then on."""
    history = storm.load.history
    with storm.server() as server:
        await storm.ready(server)
        wires = [Wire(server.url) for _ in range(CLIENTS)]
        clients = [asyncio.create_task(storm.load.keep_busy(wire)) for wire in wires]
        while not any(sight.how == "submit" for sight in history.sights):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        begun, since = time.monotonic_ns(), time.time()
        server.terminate()
        drained = await first_refusal(server)
        assert await asyncio.to_thread(server.wait) in (0, 1)
        over = time.monotonic_ns()
        history.stops.append(Stop("SIGTERM", begun, over, since, time.time()))
        await asyncio.gather(*clients)
    assert over - begun < (GRACE + 2) * 1e9
    new = [sight.asked for sight in history.sights if sight.how == "submit"]
    assert [asked for asked in new if drained < asked < over] == []
    assert [asked for asked in new if asked < begun]


@pytest.mark.deep
def test_sigterm_under_load(tmp_path: Path) -> None:
    """Nothing is accepted once it drains; what was before is there after the restart, and ends."""

    async def run(storm: Storm) -> list[str]:
        for _ in range(TIMES):
            await terminate_under_load(storm)
        return await storm.end()

    assert asyncio.run(run(Storm(tmp_path, 1))) == []
