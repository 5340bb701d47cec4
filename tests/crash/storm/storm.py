"""The storm itself: a server under load that is killed, and started again, many times over."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.crash.storm.history import Stop, read_evidence
from tests.crash.storm.load import Body, Load
from tests.crash.storm.rules import violations
from tests.crash.storm.sniper import Shot, Sniper
from tests.crash.storm.tasks import EVIDENCE, TASKS
from tests.crash.storm.wire import Answer, Gone, Wire, head_of, request_bytes
from tests.support.forked import ForkedServer
from tests.support.server import Server

CLIENTS: Final = 6
LONGEST_LIFE: Final = 0.12
"""Seconds after which a server that has become ready is killed at the latest."""

SETTINGS: Final = {
    "AWAITD_TASKS": TASKS,
    "AWAITD_MAX_RUNNING": "60",
    "AWAITD_SHUTDOWN_GRACE": "0.2",
    "AWAITD_CANCEL_GRACE": "0.2",
}


class Storm:
    """All that happens in one folder, repeatable as far as two processes ever are."""

    def __init__(self, folder: Path, seed: int, *, longest_life: float = LONGEST_LIFE) -> None:
        self.load = Load(seed)
        self.folder = folder
        self.restarts: dict[str, list[float]] = {"forked": [], "executed": []}
        """Seconds from the start of a process to its first 200 for `/readyz`."""
        self.cut_answers = 0
        """Answers of which a kill let only a part through."""
        self._settings = {**SETTINGS, EVIDENCE: str(folder / "evidence")}
        self._longest_life = longest_life
        self._random = self.load.random
        self._kinds: dict[str, Callable[[ForkedServer, Sniper], Awaitable[None]]] = {
            "at a 202": self._at_a_202,
            "at a DELETE": self._at_a_delete,
            "at random": self._at_random,
            "as soon as ready": self._at_once,
            "in its grace": self._in_its_grace,
            "SIGTERM": self._terminate,
        }

    @property
    def kills(self) -> Counter[str]:
        """How often the server was ended, by kind."""
        return Counter(stop.kind for stop in self.load.history.stops)

    async def run(self, cycles: int, *, execute_every: int = 0) -> list[str]:
        """Kill so many servers, let the last one end all jobs; gives what was wrong."""
        kinds = list(self._kinds)
        with Sniper() as sniper:
            for number in range(cycles):
                if number % len(kinds) == 0:
                    self._random.shuffle(kinds)
                if execute_every and number % execute_every == 0:
                    await asyncio.to_thread(self._execute)
                await self._cycle(kinds[number % len(kinds)], sniper)
        return await self.end()

    async def end(self) -> list[str]:
        """Let a last server end all jobs; gives what was wrong from the beginning on."""
        with self.server() as server:
            await self.ready(server)
            await self.load.end_all(server.url, CLIENTS)
        self.load.history.lines += read_evidence(self.folder / "evidence")
        return violations(self.load.history)

    async def _cycle(self, kind: str, sniper: Sniper) -> None:
        if self._random.random() < 0.3:
            self._kill_while_it_recovers()
        with self.server() as server:
            await self.ready(server)
            async with AsyncExitStack() as stack:
                clients = [
                    asyncio.create_task(
                        self._client(await stack.enter_async_context(Wire()), server, n)
                    )
                    for n in range(CLIENTS)
                ]
                await self._kinds[kind](server, sniper)
                server.kill()
                await asyncio.gather(*clients)

    @contextmanager
    def server(self) -> Iterator[ForkedServer]:
        """The next server, which is ended with the block."""
        server = ForkedServer(self.folder, **self._settings)
        self._began = time.monotonic()
        server.start()
        try:
            yield server
        finally:
            server.kill()

    async def ready(self, server: ForkedServer) -> None:
        """Wait until it answers that it is ready, and note how long it took since its start."""
        await asyncio.to_thread(server.wait_until_ready)
        async with Wire(server.url) as wire:
            while (await wire.ask("GET", "/readyz")).status != 200:
                pass
        self.restarts["forked"].append(time.monotonic() - self._began)

    async def _client(self, wire: Wire, server: ForkedServer, number: int) -> None:
        await wire.move(server.url)
        with suppress(*Gone):
            if number == 0:  # what there was before the kill is there after it
                ended = list(self.load.jobs.keys() - set(self.load.unfinished))
                some = self._random.sample(sorted(ended), min(10, len(ended)))
                for job_id in (*self.load.unfinished[:100], *some):
                    await self.load.read(wire, job_id)
        await self.load.keep_busy(wire)

    async def _at_a_202(self, server: ForkedServer, sniper: Sniper) -> None:
        await self._some_time()
        _, body = self.load.submission()
        key = f"shot-{len(self.load.history.stops)}"
        self.load.sent[key] = body
        request = request_bytes("POST", "/jobs", body, Idempotency_Key=key)
        shot = await self._shoot(server, sniper, request, "at a 202")
        self._saw_shot(shot, "", body, key)

    async def _at_a_delete(self, server: ForkedServer, sniper: Sniper) -> None:
        await self._some_time()
        async with Wire(server.url) as wire:
            body = {"task": "again", "params": {"plan": {"work": 0.5, "clean_up": 0.05}}}
            await self.load.submit(wire, "", body)
        job_id = self._random.choice(self.load.unfinished)
        path = f"/jobs/{job_id}"
        shot = await self._shoot(server, sniper, request_bytes("DELETE", path), "at a DELETE")
        self._saw_shot(shot, path)

    async def _at_random(self, server: ForkedServer, sniper: Sniper) -> None:
        await self._some_time()
        self._kill(server, "at random")

    async def _at_once(self, server: ForkedServer, sniper: Sniper) -> None:
        self._kill(server, "as soon as ready")

    async def _in_its_grace(self, server: ForkedServer, sniper: Sniper) -> None:
        await self._some_time()
        with self._stop("in its grace"):
            server.terminate()
            await self._some_time()
            await self._some_time()
            server.kill()

    async def _terminate(self, server: ForkedServer, sniper: Sniper) -> None:
        await self._some_time()
        with self._stop("SIGTERM"):
            server.terminate()
            code = await asyncio.to_thread(server.wait)
        assert code in (0, 1), f"SIGTERM ended it with {code}"  # 1: jobs were cut off

    def _kill_while_it_recovers(self) -> None:
        for _ in range(self._random.choice((1, 1, 2))):
            with self.server() as server:
                time.sleep(self._random.uniform(0, 0.06))
                self._kill(server, "in its recovery")

    def _kill(self, server: ForkedServer, kind: str) -> None:
        with self._stop(kind):
            server.kill()

    async def _some_time(self) -> None:
        await asyncio.sleep(self._random.uniform(0, self._longest_life))

    @contextmanager
    def _stop(self, kind: str) -> Iterator[None]:
        begun, since = time.monotonic_ns(), time.time()
        yield
        self.load.history.stops.append(Stop(kind, begun, time.monotonic_ns(), since, time.time()))

    async def _shoot(self, server: ForkedServer, sniper: Sniper, request: bytes, kind: str) -> Shot:
        with self._stop(kind):
            return await asyncio.to_thread(sniper.shoot, server.pid, server.url, request)

    def _saw_shot(self, shot: Shot, path: str, sent: Body | None = None, key: str = "") -> None:
        head, end, body = shot.received.partition(b"\r\n\r\n")
        if not end:
            self.cut_answers += 1
            return
        answer = Answer(shot.asked, shot.over, *head_of(head), body)
        if len(body) == int(answer.headers["content-length"]):
            self.load.saw(answer, "submit" if key else "cancel", sent, key)
            return
        self.cut_answers += 1
        if answer.status == 202:
            self.load.was_promised(answer.headers.get("location", path), shot.over, cancel=not key)

    def _execute(self) -> None:
        """Start a server as a user does, time it, and kill it."""
        server = Server(self.folder, **self._settings)
        began = time.monotonic()
        server.start()
        while server.client.get("/readyz").status_code != 200:
            pass
        self.restarts["executed"].append(time.monotonic() - began)
        with self._stop("in a process of its own"):
            server.kill()
