"""Which job starts next, against a model that looks at every job every time."""

import pickle
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.engines.embedded.ready import ReadyQueue
from app.jobs.live import LiveJob, Speech
from app.jobs.models import Job
from app.scheduler import Status

LIMITS = {"one": 1, "two": 2}
MAX_RUNNING = 4


def unheard(job_id: UUID) -> None:
    """Nobody listens."""


def live_job(number: int, task: str = "free", **options: Any) -> LiveJob:
    """A pending job; ids are in the order of the numbers."""
    defaults = {"status": Status.PENDING, "version": 1, "params": b"{}", "run_at": 0}
    job = Job(id=UUID(int=number), task=task, **{**defaults, **options})
    return LiveJob(job, Speech(int, unheard))


class Starts(RuleBasedStateMachine):
    """Jobs come, wait, start, go and come back; the queue and the model agree all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = ReadyQueue(MAX_RUNNING, LIMITS)
        self.now = 1_000
        self.count = 0
        self.waiting: list[LiveJob] = []
        self.running: list[LiveJob] = []

    @rule(
        task=st.sampled_from(["free", "one", "two"]),
        priority=st.integers(-1, 1),
        delay=st.sampled_from([0, 0, 0, 5, 20]),
        start_within=st.sampled_from([None, None, 0, 3, 30]),
    )
    def arrive(self, task: str, priority: int, delay: int, start_within: int | None) -> None:
        self.count += 1
        run_at = self.now + delay
        start_by = None if start_within is None else run_at + start_within
        job = live_job(self.count, task, priority=priority, run_at=run_at, start_by=start_by)
        self.queue.push(job, self.now)
        self.waiting.append(job)

    @rule()
    def start(self) -> None:
        free = [job for job in self.waiting if job.run_at <= self.now and self.has_slot(job.task)]
        expected = min(free, key=lambda job: (-job.priority, job.run_at, job.id), default=None)
        assert self.queue.pop(self.now) is expected
        if expected is not None:
            expected.start_by = None
            self.waiting.remove(expected)
            self.running.append(expected)

    @rule(task=st.sampled_from(["free", "one", "two"]))
    def start_at_once(self, task: str) -> None:
        taken = self.queue.take_slot(task)
        assert taken == self.has_slot(task)
        if taken:
            self.count += 1
            self.running.append(live_job(self.count, task))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), again=st.booleans(), backoff=st.sampled_from([0, 10]))
    def end(self, data: st.DataObject, again: bool, backoff: int) -> None:
        job = data.draw(st.sampled_from(self.running))
        self.running.remove(job)
        self.queue.release_slot(job.task)
        if again:
            job.run_at = self.now + backoff
            self.queue.push(job, self.now)
            self.waiting.append(job)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(job)
        self.queue.discard(job.id)
        self.queue.discard(job.id)

    @rule(seconds=st.sampled_from([1, 4, 15]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        late = set(self.queue.late(self.now))
        assert late == {j for j in self.waiting if j.start_by is not None and j.start_by < self.now}
        for job in late:
            self.queue.discard(job.id)
            self.waiting.remove(job)

    @invariant()
    def agrees(self) -> None:
        assert (len(self.queue.waiting), self.queue.running) == (
            len(self.waiting),
            len(self.running),
        )
        times = [job.run_at for job in self.waiting if job.run_at > self.now]
        times += [job.start_by + 1 for job in self.waiting if job.start_by is not None]
        if times:  # it may look too early, for a job that is not there any more, but not too late
            assert (self.queue.next_time() or 0) <= min(times)

    def has_slot(self, task: str) -> bool:
        of_task = sum(job.task == task for job in self.running)
        return len(self.running) < MAX_RUNNING and of_task < LIMITS.get(task, MAX_RUNNING)


Starts.TestCase.settings = settings(max_examples=60, stateful_step_count=60, derandomize=True)
TestStarts = Starts.TestCase


def test_a_cancel_does_not_strand_those_behind() -> None:
    """When the job that would be next of a limited task is cancelled, the one behind it is next."""
    queue = ReadyQueue(2, {"one": 1})
    assert queue.take_slot("one")
    first, behind = live_job(1, "one"), live_job(2, "one")
    for job in (first, behind):
        queue.push(job, 0)
    assert queue.pop(0) is None
    assert queue.take_slot("free")
    queue.release_slot("one")
    queue.discard(first.id)
    assert queue.pop(0) is behind


def test_memory_of_those_that_left() -> None:
    """What is held of jobs that have left is bounded, though their times are far off."""
    queue = ReadyQueue(1, {})
    for number in range(20_000):
        queue.push(live_job(number, run_at=10**9 * (number % 2), start_by=10**10), 0)
        queue.discard(UUID(int=number))
    assert len(queue.waiting) == 0
    assert len(pickle.dumps(queue)) < 200_000


def test_memory_of_those_that_started() -> None:
    """What is held of jobs that have started is bounded, though they had long to start."""
    queue = ReadyQueue(1, {})
    last = live_job(20_000, priority=-1)
    queue.push(last, 0)
    for number in range(20_000):
        queue.push(live_job(number, start_by=10**10), 0)
        started = queue.pop(0)
        assert started is not None
        queue.release_slot(started.task)
    assert len(pickle.dumps(queue)) < 200_000
    assert queue.pop(0) is last
