"""Whatever clients and kills do to a server, in whatever order: it agrees with a small model."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)
from hypothesis.stateful import run_state_machine_as_test as run

from tests.support.deep import DEEP, deep
from tests.support.forked import ForkedServer
from tests.support.gates import open_gate

EXAMPLES = deep(ordinary=6, deep=50)
STEPS = 20

SOON, LONG = 0.3, 3600.0
TASKS = ("wait_for_file", "wait_in_first_attempt", "fail_when_cancelled")
ENDED = ("completed", "failed", "cancelled")


class Restartable:
    """A server on one data directory, through all its lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = httpx.Client(verify=False)
        self._start()

    def restart(self, *, kindly: bool) -> None:
        """End the server, by SIGTERM or by SIGKILL, and start the next."""
        self.client.close()
        if kindly:
            self._server.terminate()
            self._server.wait()
        self._server.kill()
        self._start()

    def close(self) -> None:
        """Leave nothing running."""
        self.client.close()
        self._server.kill()

    def _start(self) -> None:
        settings = {
            "AWAITD_TASKS": "tests.support.tasks_for_tests",
            "AWAITD_SHUTDOWN_GRACE": "0.05",
            "AWAITD_CANCEL_GRACE": "0.2",
        }
        self._server = ForkedServer(self.folder, **settings).start()
        self._server.wait_until_ready()
        self.client = httpx.Client(base_url=self._server.url, verify=False, timeout=30)


@dataclass
class Expected:
    """What the model knows of one job. `states` are those that it may be in; some steps race."""

    id: str
    body: dict[str, Any]
    gate: Path
    states: set[str]
    key: str | None = None
    attempt: int = 1
    cancelled: bool = False
    seen: list[Any] = field(default_factory=list)

    @property
    def retries(self) -> bool:
        return bool(self.body["task"] == "wait_in_first_attempt")

    def restarted(self) -> None:
        """The crash rule, which shutdown follows too for a coroutine that goes on to the end."""
        if "running" not in self.states:
            return
        if self.retries and self.attempt == 1:
            self.attempt, self.states = 2, {"pending", "running", "completed"}
        else:
            self.states = self.states | {"failed"}
            self.states -= set() if "pending" in self.states else {"running"}

    def begins_only_now(self, shown: Any) -> None:
        """One that was not due before the restart had no attempt that the crash could end."""
        is_first = shown["attempt"] == 0 or (shown["attempt"] == 1 and shown["status"] == "running")
        if self.retries and self.attempt == 2 and is_first and self.body.get("delay") == SOON:
            self.attempt, self.states = 1, {"pending", "running"}


class Clients(RuleBasedStateMachine):
    """Every rule is something that a client or a power cut does."""

    server: Restartable
    jobs = Bundle("jobs")
    _numbers = itertools.count()

    @initialize(target=jobs)
    def begin(self) -> MultipleResults[Expected]:
        """Each example has jobs of its own, which carry its label; the first ones run at once."""
        self.example = str(next(self._numbers))
        self.known: dict[str, Expected] = {}
        first: list[Any] = [self.submit(task, 0, 0, True) for task in TASKS]
        first.append(self.submit(TASKS[0], SOON, 0, False))
        return multiple(*first)

    @rule(
        target=jobs,
        task=st.sampled_from(TASKS),
        delay=st.sampled_from((0, SOON, LONG)),
        priority=st.integers(-3, 3),
        keyed=st.booleans(),
    )
    def submit(self, task: str, delay: float, priority: int, keyed: bool) -> Expected:
        """Submit a job that waits for its gate, its cancel or its time."""
        gate = self.server.folder / f"gate-{next(self._numbers)}"
        body: dict[str, Any] = {
            "task": task,
            "params": {} if task == "fail_when_cancelled" else {"path": str(gate)},
            "priority": priority,
            "labels": {"example": self.example},
        }
        if delay:
            body["delay"] = delay
        return self._accepted(body, gate, f"key-{gate.name}" if keyed else None)

    @rule(target=jobs, job=jobs)
    def copy(self, job: Expected) -> Expected:
        """Submit an earlier job again, whatever has become of it, and at once."""
        body = {"copy_of": job.id, "labels": {"example": self.example}}
        copied = {**job.body, "priority": 0, **body}
        copied.pop("delay", None)
        return self._accepted(body, job.gate, None, copied)

    @rule(job=jobs, other=st.booleans())
    def replay(self, job: Expected, other: bool) -> None:
        """A key finds its job again, and refuses another body."""
        if job.key is None:
            return
        body = {**job.body, "priority": 9} if other else job.body
        answer = self.server.client.post("/jobs", json=body, headers={"Idempotency-Key": job.key})
        if other:
            assert answer.json()["type"] == "/problems/idempotency-key-reused"
        else:
            assert answer.headers["idempotent-replayed"] == "true"
            self._check(job, answer.json())

    @rule(job=jobs)
    def cancel(self, job: Expected) -> None:
        """A cancel is accepted unless the job has ended."""
        answer = self.server.client.delete(f"/jobs/{job.id}", headers={"Prefer": "wait=10"})
        shown = answer.json()
        if shown["cancel_requested_at"] is not None:
            assert not job.states <= {"completed", "failed"}
            job.cancelled, job.states = True, {"cancelled"}
        assert answer.status_code == 200
        self._check(job, shown)

    @rule(job=jobs)
    def release(self, job: Expected) -> None:
        """What waits for its gate completes, and so do its copies."""
        open_gate(job.gate, "released")
        for one in self.known.values():
            waits = one.gate == job.gate and one.body["task"] == "wait_for_file"
            if waits and one.body.get("delay") != LONG and not one.cancelled:
                one.states = one.states - {"pending", "running"} | {"completed"}
                self._check(one, self._get(one, wait=10))

    @rule(job=jobs)
    def read(self, job: Expected) -> None:
        """A result is there, not yet, or never."""
        shown = self._get(job)
        answer = self.server.client.get(f"/jobs/{job.id}/result")
        if shown["done"]:
            has_one = shown["result"] is not None
            assert answer.status_code == (200 if has_one else 424)
            assert answer.headers["job-status"] == shown["status"]
            assert not has_one or answer.json() == shown["result"]
        else:
            assert answer.status_code in (409, 200)

    @rule(statuses=st.sets(st.sampled_from(("pending", "running", *ENDED)), min_size=1))
    def filter(self, statuses: set[str]) -> None:
        """A list has the jobs of the statuses that were asked for, the newest first."""
        listed = [item["id"] for item in self._listed(sorted(statuses))]
        assert listed == sorted(listed, reverse=True)
        for job in self.known.values():
            if job.states <= statuses:
                assert job.id in listed
            if not job.states & statuses:
                assert job.id not in listed

    @rule(kindly=st.booleans(), patient=st.booleans())
    def restart(self, kindly: bool, patient: bool) -> None:
        """The server is ended, one way or the other, and started again; all that can end does."""
        self.server.restart(kindly=kindly)
        for job in self.known.values():
            job.restarted()
            shown = self._get(job)
            job.begins_only_now(shown)
            self._check(job, shown)
        for job in self.known.values() if patient else ():
            self.release(job)
            if job.retries and job.attempt == 2:
                job.states = job.states - {"pending", "running"}
                self._check(job, self._get(job, wait=10))

    @invariant()
    def everything_is_there(self) -> None:
        """Every job is in a state that the model allows, and none takes a step back."""
        items = self._listed([])
        assert {item["id"] for item in items} == self.known.keys()
        for item in items:
            self._check(self.known[item["id"]], item)

    def _accepted(
        self, body: Any, gate: Path, key: str | None, full: dict[str, Any] | None = None
    ) -> Expected:
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = self.server.client.post("/jobs", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        full = full or body
        states, attempt = {"pending", "running"}, 1
        if full.get("delay") == LONG:
            states, attempt = {"pending"}, 0
        if gate.exists() and full["task"] == "wait_for_file" and attempt:
            states.add("completed")
        job = Expected(answer.json()["id"], full, gate, states, key, attempt)
        self.known[job.id] = job
        self._check(job, answer.json())
        return job

    def _get(self, job: Expected, wait: int = 0) -> Any:
        answer = self.server.client.get(f"/jobs/{job.id}", headers={"Prefer": f"wait={wait}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _listed(self, statuses: list[str]) -> list[Any]:
        query: dict[str, str | int | list[str]]
        query = {"label": f"example:{self.example}", "status": statuses, "limit": 500}
        items = self.server.client.get("/jobs", params=query).json()["items"]
        assert isinstance(items, list)
        return items

    def _check(self, job: Expected, shown: Any) -> None:
        assert shown["id"] == job.id
        assert shown["status"] in job.states, (shown, job)
        lasting = {"task", "params", "priority"} & shown.keys()  # summaries have no params
        assert {name: shown[name] for name in lasting} == {n: job.body[n] for n in lasting}
        assert (shown["cancel_requested_at"] is not None) == job.cancelled
        assert shown["attempt"] <= job.attempt
        if shown["status"] == "running" and shown["attempt"] == job.attempt:
            job.states.discard("pending")  # that would be a step back
        if shown["status"] == "failed":
            assert shown["error"]["type"] == "interrupted"
        if shown["done"]:
            job.states = {shown["status"]}
            if "params" in shown:
                assert job.seen in ([], [shown])
                job.seen = [shown]


@pytest.fixture
def machine() -> Iterator[type[Clients]]:
    """The rules, against one server for all examples."""
    with TemporaryDirectory() as folder:
        server = Restartable(Path(folder))
        Clients.server = server
        yield Clients
        server.close()


@pytest.mark.deep
@pytest.mark.timeout(300 + EXAMPLES)  # a restart takes long on a busy machine
def test_every_order_of_events(machine: type[Clients]) -> None:
    """Whatever is done in whatever order, a server does what the model says.

    In a deep run there are more, and other orders each time.
    """
    run(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=not DEEP,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
