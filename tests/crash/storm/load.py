"""What the clients of a storm do: a seeded mix of submissions, cancels and readings."""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final, Literal

from tests.crash.storm.history import History, How, Job, Missing, Promise, Sight, parsed
from tests.crash.storm.wire import Answer, Gone, Wire

Body = dict[str, Any]
Act = Literal["submit", "cancel", "read", "list", "replay"]

ACTS: Final[Mapping[Act, int]] = {"submit": 50, "cancel": 20, "read": 15, "list": 5, "replay": 10}
TASKS: Final = {"once": 4, "again": 3, "later": 2, "narrow": 1}
WORK: Final = (0.0, 0.001, 0.01, 0.05, 0.2)
CLEAN_UP: Final = (0.0, 0.0, 0.01, 0.1)
PATIENCE: Final = 20
"""Seconds in which each job has to end, once nothing kills a server any more."""
WHEN_CANCELLED: Final = ("raise", "raise", "return", "fail", "go on")


class Load:
    """The jobs and keys of a storm, and what was seen of them."""

    def __init__(self, seed: int, work: Sequence[float] = WORK) -> None:
        self.random = Random(seed)
        self._work = work
        self.history = History()
        self.jobs: dict[str, Job] = {}
        """Each job as it was last seen."""
        self.sent: dict[str, Body] = {}
        """What was sent with each key, acknowledged or not."""
        self.may_be_refused = False
        """Whether a reading may be answered 503."""
        self._number = 0

    @property
    def unfinished(self) -> list[str]:
        """The jobs that have not been seen to end."""
        return [job_id for job_id, job in self.jobs.items() if not job["done"]]

    def submission(self) -> tuple[str, Body]:
        """A key, empty for some, and a job of any kind."""
        random, self._number = self.random, self._number + 1
        (task,) = random.choices(tuple(TASKS), tuple(TASKS.values()))
        plan = {
            "work": random.choice(self._work[:3] if task == "narrow" else self._work),
            "failures": random.choice((0, 0, 0, 1, 2, 9)),
            "clean_up": random.choice(CLEAN_UP),
            "when_cancelled": random.choice(WHEN_CANCELLED),
        }
        body: Body = {
            "task": task,
            "params": {"plan": plan},
            "labels": {"number": str(self._number)},
            "priority": random.choice((0, 0, 0, 1, -1, 5)),
        }
        if random.random() < 0.3:
            body["delay"] = random.choice((0.01, 0.05, 0.2, 0.5))
        key = f"key-{self._number}" if random.random() < 0.5 else ""
        if key:
            self.sent[key] = body
        return key, body

    def saw(self, answer: Answer, how: How, sent: Body | None = None, key: str = "") -> None:
        """Note what an answer about one job shows; others, such as a 503, show none."""
        if answer.status in (200, 202):
            job = parsed(answer.body)
            self.jobs[job["id"]] = job
            tag = answer.headers["etag"]
            self.history.sights.append(
                Sight(answer.asked, answer.at, how, job, tag, answer.body, sent, key)
            )

    def was_promised(self, path: str, at: int, *, cancel: bool) -> None:
        """Note a 202 whose body did not come through: the job is there, or is cancelled."""
        job_id = path.removeprefix("/jobs/")
        self.jobs.setdefault(job_id, {"id": job_id, "done": False})
        if cancel:
            self.history.promises.append(Promise(job_id, at))

    async def keep_busy(self, wire: Wire) -> None:
        """Act at random until the server is gone."""
        try:
            while True:
                await self.act_at_random(wire)
        except Gone:
            await wire.close()

    async def act_at_random(self, wire: Wire) -> None:
        """Do one thing of any kind."""
        (act,) = self.random.choices(tuple(ACTS), tuple(ACTS.values()))
        await self.act(wire, act)

    async def act(self, wire: Wire, act: Act) -> None:
        """Do one thing."""
        match act:
            case "submit":
                await self.submit(wire, *self.submission())
            case "cancel" if self.jobs:
                await self.cancel(wire, self.any_job(0.8))
            case "read" if self.jobs:
                await self.read(wire, self.any_job(0.5))
            case "replay" if self.sent:
                key = self.random.choice(tuple(self.sent)[-200:])
                await self.submit(wire, key, self.sent[key], "replay")
            case _:
                await self.list(wire)

    async def submit(self, wire: Wire, key: str, body: Body, how: How = "submit") -> None:
        """Submit a job, or find that of a known key."""
        keyed = {"Idempotency_Key": key} if key else {}
        patience = self.patience() if how == "submit" else "wait=0"
        answer = await wire.ask("POST", "/jobs", body, Prefer=patience, **keyed)
        if "idempotent-replayed" in answer.headers:
            how = "replay"
        self.saw(answer, how, body, key)

    async def cancel(self, wire: Wire, job_id: str) -> None:
        """Cancel a job, and sometimes wait for its end."""
        answer = await wire.ask("DELETE", f"/jobs/{job_id}", Prefer=self.patience())
        self.saw(answer, "cancel")

    async def read(self, wire: Wire, job_id: str, how: How = "read", wait: int = 0) -> None:
        """Read a job, which has to be there."""
        answer = await wire.ask("GET", f"/jobs/{job_id}", Prefer=f"wait={wait}")
        if answer.status != 200 and not (answer.status == 503 and self.may_be_refused):
            self.history.missing.append(Missing(job_id, answer.at, answer.status))
        self.saw(answer, how)

    async def list(self, wire: Wire) -> None:
        """Read the newest jobs."""
        await self._list(wire, "/jobs?limit=20")

    async def list_all(self, wire: Wire) -> None:
        """Read all jobs, for some may have been accepted without an answer."""
        path = "/jobs?limit=500"
        while path:
            answer = await self._list(wire, path)
            path = answer.headers.get("link", "").removeprefix("<").removesuffix('>; rel="next"')

    async def _list(self, wire: Wire, path: str) -> Answer:
        answer = await wire.ask("GET", path)
        if answer.status == 503 and self.may_be_refused:
            return answer
        for job in answer.json["items"]:
            self.jobs.setdefault(job["id"], job)
            self.history.sights.append(Sight(answer.asked, answer.at, "list", job))
        return answer

    async def end_all(self, url: str, connections: int) -> None:
        """Find every key and job again, wait for all to end, and read them for the last time."""
        self.may_be_refused = False
        async with Wire(url) as wire:
            for key, body in self.sent.items():
                await self.submit(wire, key, body, "replay")
            await self.list_all(wire)
        await self._read_all(url, connections, "read", PATIENCE)
        await self._read_all(url, connections, "last", 0)

    async def _read_all(self, url: str, connections: int, how: How, wait: int) -> None:
        job_ids = iter(list(self.jobs))

        async def read_some() -> None:
            async with Wire(url) as wire:
                for job_id in job_ids:
                    await self.read(wire, job_id, how, wait)

        await asyncio.gather(*(read_some() for _ in range(connections)))

    def patience(self) -> str:
        """How long a request waits for the end of its job: few do."""
        return self.random.choices(("wait=0", "wait=1"), (15, 1))[0]

    def any_job(self, unfinished: float) -> str:
        """A job, with some probability one that has not ended."""
        jobs = self.unfinished if self.random.random() < unfinished else []
        return self.random.choice(jobs or list(self.jobs))
