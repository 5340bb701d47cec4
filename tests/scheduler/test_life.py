"""Random lives of tasks, against the table of steps."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from app.scheduler import BackgroundTask, BackgroundTaskScheduler, SchedulerClosed, Status, Step
from tests.scheduler.coroutines import turns
from tests.scheduler.model import CleanUpFailed, Expected, OnCancel, Puppet
from tests.support.virtual import VirtualClockLoop

GRACE: Final = 8.0
CANCEL_GRACE: Final = 1.0
NUMBERS: Final = st.integers(0, 9)


class LifeOfTasks(RuleBasedStateMachine):
    """Acts are gathered and happen together in one turn of the loop, in their order.

    So tasks are also cancelled before their first step, or in the turn in which they would end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualClockLoop)
        self.acts: list[Callable[[], None]] = []
        self.tasks: list[tuple[BackgroundTask[object], Puppet, Expected]] = []
        self.closing: asyncio.Task[None] | None = None

    @initialize(max_running=st.sampled_from([None, 1, 2, 3]))
    def open(self, max_running: int | None) -> None:
        self.max_running = max_running
        self.scheduler = BackgroundTaskScheduler(
            max_running=max_running, grace=GRACE, cancel_grace=CANCEL_GRACE
        )

    @rule(
        on_cancel=st.sampled_from(OnCancel),
        priorities=st.lists(st.integers(-1, 1), min_size=1, max_size=4),
    )
    def create(self, on_cancel: OnCancel, priorities: list[int]) -> None:
        for priority in priorities:
            self.acts.append(functools.partial(self._create, on_cancel, priority))

    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        def act(task: BackgroundTask[object], puppet: Puppet, expected: Expected) -> None:
            assert task.cancel() is expected.cancel()

        self._act_on(number, act)

    @rule(number=NUMBERS, value=st.integers())
    def finish(self, number: int, value: int) -> None:
        self._tell(number, value)

    @rule(
        number=NUMBERS,
        error=st.sampled_from(
            [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]
        ),
    )
    def fail(self, number: int, error: type[BaseException]) -> None:
        self._tell(number, error())

    @rule()
    def turn(self) -> None:
        """Start what was created, deliver what was sent."""
        self.runner.run(self._turn())

    @rule()
    @precondition(lambda self: self.closing is None and len(self.tasks) > 5)
    def close(self) -> None:
        self.turn()
        self.closing = self.runner.get_loop().create_task(self.scheduler.close())
        self.turn()

    @rule()
    @precondition(lambda self: self.closing is not None)
    def end_the_graces(self) -> None:
        self.turn()
        for _, _, expected in self.tasks:
            expected.cancel()
        self.runner.run(asyncio.sleep(GRACE + CANCEL_GRACE))
        self.turn()
        assert self.closing is not None
        assert self.closing.done()

    def teardown(self) -> None:
        with self.runner:
            try:
                self._end_all()
            finally:
                for _, puppet, _ in self.tasks:
                    puppet.on_cancel = OnCancel.OBEY
                self.runner.run(self.scheduler.close())

    def _end_all(self) -> None:
        self.turn()
        for _ in self.tasks:  # each turn ends at least one
            if self.scheduler.unfinished:
                self.acts.append(self._tell_all)
                self.turn()
        assert not self.scheduler.unfinished

    def _create(self, on_cancel: OnCancel, priority: int) -> None:
        puppet = Puppet(on_cancel)
        if self.closing is not None:
            with pytest.raises(SchedulerClosed):
                self.scheduler.create_task(puppet.act)
            return
        task = self.scheduler.create_task(puppet.act, priority=priority)
        self.tasks.append((task, puppet, Expected(on_cancel, priority)))

    def _tell_all(self) -> None:
        for _, puppet, expected in self.tasks:
            puppet.tell("the end")
            expected.tell("the end")

    def _tell(self, number: int, what: object) -> None:
        def act(task: BackgroundTask[object], puppet: Puppet, expected: Expected) -> None:
            puppet.tell(what)
            expected.tell(what)

        self._act_on(number, act)

    def _act_on(self, number: int, act: Callable[..., None]) -> None:
        """`act` on one of the newest tasks there are then."""

        def act_then() -> None:
            if self.tasks:
                act(*self.tasks[-1 - number % len(self.tasks)])

        self.acts.append(act_then)

    async def _turn(self) -> None:
        for act in self.acts:
            act()
            self._give_slots()
            self._check_statuses()
        self.acts.clear()
        await turns()
        self._go_on()
        self._check_statuses()
        self._check_ends()

    def _go_on(self) -> None:
        for _, _, expected in self.tasks:
            if expected.status is Status.RUNNING:
                expected.go_on()
        self._give_slots()
        for _, _, expected in self.tasks:
            if expected.has_slot and expected.status is Status.PENDING:
                expected.take(Step.START)

    def _give_slots(self) -> None:
        """To pending tasks, by priority and then in the order of their creation."""
        every = [expected for _, _, expected in self.tasks]
        waiting = [e for e in every if e.status is Status.PENDING and not e.has_slot]
        free = len(every) if self.max_running is None else self.max_running
        free -= sum(expected.has_slot for expected in every)
        for expected in sorted(waiting, key=lambda expected: -expected.priority)[:free]:
            expected.has_slot = True

    def _check_statuses(self) -> None:
        unfinished = self.scheduler.unfinished
        for task, _, expected in self.tasks:
            assert task.status() is expected.status
            assert (task in unfinished) == (not expected.status.finished)

    def _check_ends(self) -> None:
        for task, puppet, expected in self.tasks:
            assert (puppet.told is not None) == expected.begun
            if expected.status.finished:
                self._check_end(task, expected)

    def _check_end(self, task: BackgroundTask[Any], expected: Expected) -> None:
        error = task.exception()
        if expected.error is None or isinstance(expected.error, CleanUpFailed):
            assert type(error) is type(expected.error)
        else:
            assert error is expected.error
        if expected.status is Status.FAILED:
            with pytest.raises(type(error or AssertionError())) as raised:
                task.get_result()
            assert raised.value is error
        else:
            assert task.get_result() == expected.value


LifeOfTasks.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, report_multiple_bugs=False
)
TestLifeOfTasks = LifeOfTasks.TestCase
