"""Clients that submit, cancel, look, wait and watch at random, and note what they are told."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random
from typing import Any, Final, Protocol
from uuid import UUID

from app.engines.embedded import EmbeddedEngine
from app.jobs.errors import JobsError
from app.jobs.events import EventKind, Watch
from app.jobs.models import Job, JobQuery, NewJob
from app.jobs.texts import to_json
from app.scheduler import Status
from tests.simulation.history import Answered, Called, Defect, Streamed, What
from tests.simulation.loop import TICK
from tests.simulation.tasks import BRIEF, REGISTRY, script_of

_NAMES: Final = [task.name for task in REGISTRY]
_VERBS: Final = (
    ["submit"] * 8
    + ["cancel"] * 5
    + ["get"] * 2
    + ["wait"] * 2
    + ["race", "burst", "burst", "list", "watch", "look"]
)


class Memory(Protocol):
    """What clients know in common, and who keeps the history."""

    known: dict[UUID, int]
    position: int | None
    followed: dict[UUID, tuple[int, Status]]

    def note(self, what: What) -> None: ...
    def cover(self, name: str) -> None: ...
    def next_call(self) -> int: ...


class Client:
    """One who uses an engine as the routes do."""

    def __init__(self, engine: EmbeddedEngine, memory: Memory, chance: Random) -> None:
        self._engine = engine
        self._memory = memory
        self._chance = chance

    async def act(self) -> None:
        """Do one thing after the other."""
        verbs: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "submit": self._submit,
            "race": self._race,
            "burst": self._burst,
            "cancel": self._cancel,
            "get": self._get,
            "list": self._list,
            "wait": self._wait,
            "watch": self._watch,
            "look": self._look,
        }
        while True:
            await self._pause(5)
            verb = self._chance.choice(_VERBS)
            if self._chance.random() < 0.1:
                await self._leave(verbs[verb]())
            else:
                await verbs[verb]()

    async def _pause(self, ticks: int) -> None:
        if ticks := self._chance.randrange(ticks):
            await asyncio.sleep(ticks * TICK)

    async def _leave(self, doing: Coroutine[Any, Any, Any]) -> None:
        """Begin something, and go away before it has ended."""
        task = asyncio.create_task(doing)
        await self._pause(3)
        for _ in range(self._chance.randrange(8)):
            await asyncio.sleep(0)
        task.cancel()
        self._memory.cover("a caller leaves")
        await asyncio.wait((task,))

    async def _submit(self, key: str | None = None) -> None:
        new = self._new(key)
        await self._call("submit", self._accepted(new), key=_key_of(new))

    async def _race(self) -> None:
        key = f"race {self._chance.randrange(30)}"
        await _both(self._submit(key), self._submit(key))

    async def _burst(self) -> None:
        """Jobs of one task, of which the first is due at the very time when the others come."""
        task, ticks = self._chance.choice(_NAMES), self._chance.randrange(10)
        delays = (ticks * TICK, None, None)
        jobs = [NewJob(task=task, params=self._params(), delay=delay) for delay in delays]
        first, *others = (self._call("submit", self._accepted(new)) for new in jobs)
        await _both(first, *(_later(ticks, other) for other in others))

    async def _accepted(self, new: NewJob) -> Sequence[Job]:
        return [(await self._engine.submit(new)).job]

    def _new(self, key: str | None) -> NewJob:
        choice, ticks = self._chance.choice, self._chance.randrange(1, 40)
        known = self._some_job()
        if key is None and known and self._chance.random() < 0.1:
            return NewJob(copy_of=known, labels={"copy": "yes"})
        if key is None and self._chance.random() < 0.25:
            key = f"key {self._chance.randrange(5)}"
        task = choice(_NAMES)
        return NewJob(
            task=task,
            params=self._params(),
            priority=choice((None, None, 1)),
            delay=choice((None, None, None, ticks * TICK)),
            start_within=choice((None, None, None, ticks % 8 * TICK)),
            timeout=choice((None, None, BRIEF / 2)),
            labels=choice(({}, {"n": "1"})),
            idempotency_key=key,
            fingerprint=None if key is None else choice((b"one",) * 9 + (b"another",)),
        )

    def _params(self) -> bytes:
        return to_json({"script": script_of(self._chance)})

    async def stop_all(self) -> None:
        """Cancel the newest jobs, all at once, after a while."""
        await self._pause(9)
        await _both(*(self._cancel_of(job, None) for job in list(self._memory.known)[-4:]))

    async def _cancel(self) -> None:
        job_id = self._some_job()
        if job_id is None:
            return
        if_version = self._memory.known[job_id] if self._chance.random() < 0.15 else None
        if self._chance.random() < 0.3:
            await _both(self._cancel_of(job_id, None), self._cancel_of(job_id, if_version))
        else:
            await self._cancel_of(job_id, if_version)

    async def _cancel_of(self, job_id: UUID, if_version: int | None) -> None:
        async def cancelled() -> Sequence[Job]:
            return [await self._engine.cancel(job_id, if_version=if_version)]

        await self._call("cancel", cancelled(), job_id)

    async def _get(self) -> None:
        if job_id := self._some_job():

            async def got() -> Sequence[Job]:
                return [await self._engine.get(job_id)]

            await self._call("get", got(), job_id)

    async def _list(self) -> None:
        async def listed() -> Sequence[Job]:
            statuses = self._chance.choice(((), (Status.RUNNING,), (Status.PENDING,)))
            return (await self._engine.list(JobQuery(statuses=statuses))).items

        await self._call("list", listed())

    async def _wait(self) -> None:
        if job_id := self._some_job():
            since = self._memory.known[job_id] if self._chance.random() < 0.5 else None
            ticks = self._chance.randrange(40)

            async def waited() -> Sequence[Job]:
                return [await self._engine.wait(job_id, timeout=ticks * TICK, since=since)]

            await self._call("wait", waited(), job_id, since=since)

    async def _watch(self) -> None:
        """The stream of one job, for a while."""
        job_id = self._some_job()
        if job_id is None:
            return
        stream, seen = self._memory.next_call(), self._chance.randrange(1, 8)
        with contextlib.suppress(JobsError):
            async with contextlib.aclosing(self._engine.watch(Watch(job_id=job_id))) as events:
                async for event in events:
                    if event.job is not None:
                        self._memory.note(Streamed(stream, event.kind, event.version, event.job))
                    seen -= 1
                    if not seen:
                        return

    async def _look(self) -> None:
        self._engine.health()
        if job_id := self._some_job():
            with contextlib.suppress(JobsError):
                await self._engine.inspect(job_id)
                await self._engine.figures()

    def _some_job(self) -> UUID | None:
        """A job that is known, rather a new one."""
        known = list(self._memory.known)
        return self._chance.choice(known[-6:]) if known else None

    async def _call(
        self,
        what: str,
        answer: Awaitable[Sequence[Job]],
        job_id: UUID | None = None,
        *,
        key: str | None = None,
        since: int | None = None,
    ) -> None:
        number = self._memory.next_call()
        self._memory.note(Called(number, what, job_id, key, since))
        try:
            jobs = await answer
        except JobsError as error:
            self._memory.cover(f"{what}: {type(error).__name__}")
            self._memory.note(Answered(number, error=type(error).__name__))
        except asyncio.CancelledError:
            self._memory.note(Answered(number, error="abandoned"))
            raise
        except Exception as error:
            self._memory.note(Defect(f"{what} raised {error!r}"))
        else:
            self._memory.known.update((job.id, job.version) for job in jobs)
            self._memory.note(Answered(number, tuple(jobs)))


async def follow(engine: EmbeddedEngine, memory: Memory) -> None:
    """Follow the stream of all jobs, from where it was left in an earlier life."""
    async with contextlib.aclosing(engine.watch(Watch(since=memory.position))) as events:
        async for event in events:
            if event.kind in (EventKind.POSITION, EventKind.RESET):
                memory.cover(f"stream: {event.kind}")
                if memory.position is None or event.kind is EventKind.RESET:
                    memory.followed = {j.id: (j.version, j.status) for j in await jobs_of(engine)}
            if event.version is not None:
                memory.position = event.version
            if event.job is not None:
                job = event.job
                memory.note(Streamed(0, event.kind, event.version, job))
                memory.known.setdefault(job.id, job.version)
                memory.followed[job.id] = (job.version, job.status)


async def jobs_of(engine: EmbeddedEngine) -> list[Job]:
    """All jobs, page by page."""
    page = await engine.list(JobQuery(limit=20))
    jobs = list(page.items)
    while page.next is not None:
        page = await engine.list(JobQuery(limit=20, before=page.next))
        jobs += page.items
    return jobs


async def _later(ticks: int, doing: Coroutine[Any, Any, None]) -> None:
    try:
        await asyncio.sleep(ticks * TICK)
        await doing
    finally:
        doing.close()  # when the caller has left before


async def _both(*doing: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.create_task(one) for one in doing]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _key_of(new: NewJob) -> str | None:
    return None if new.fingerprint != b"one" else new.idempotency_key
