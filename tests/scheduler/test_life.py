"""Random lives of tasks, against the table of steps."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from app.scheduler import BackgroundTask, BackgroundTaskScheduler, SchedulerClosed, Status, Step
from app.scheduler.states import TRANSITIONS
from tests.scheduler.coroutines import turns
from tests.support.virtual import VirtualClockLoop

GRACE: Final = 8.0
CANCEL_GRACE: Final = 1.0
NUMBERS: Final = st.integers(0, 9)


class CleanUpFailed(Exception):
    pass


class OnCancel(Enum):
    """What a coroutine does with its `CancelledError`."""

    OBEY = "obey"
    RETURN = "return"
    RAISE = "raise"
    SWALLOW = "swallow"


class Puppet:
    """A coroutine that waits to be told what to return or raise."""

    def __init__(self, on_cancel: OnCancel) -> None:
        self.on_cancel = on_cancel
        self.told: asyncio.Future[object] | None = None

    def tell(self, what: object) -> None:
        if self.told is not None and not self.told.done():
            self.told.set_result(what)

    async def act(self) -> object:
        while True:
            self.told = asyncio.get_running_loop().create_future()
            try:
                what = await self.told
            except asyncio.CancelledError:
                match self.on_cancel:
                    case OnCancel.OBEY:
                        raise
                    case OnCancel.RETURN:
                        return "partial"
                    case OnCancel.RAISE:
                        raise CleanUpFailed from None
                    case OnCancel.SWALLOW:
                        continue
            if isinstance(what, BaseException):
                raise what
            return what


@dataclass
class Expected:
    """What a task should be, by the table and the rules of the scheduler alone."""

    on_cancel: OnCancel
    priority: int
    status: Status = Status.PENDING
    has_slot: bool = False
    begun: bool = False
    asked: bool = False
    interrupted: bool = False
    told: list[object] = field(default_factory=list)
    value: object = None
    error: BaseException | None = None

    def take(self, step: Step) -> None:
        self.status = TRANSITIONS[self.status, step]
        self.begun = self.begun or step is Step.START
        self.has_slot = self.has_slot and not self.status.finished

    def tell(self, what: object) -> None:
        if self.status is Status.RUNNING and not self.told and not self.interrupted:
            self.told.append(what)

    def cancel(self) -> bool:
        if self.asked or self.status.finished:
            return False
        self.asked = True
        if self.status is Status.PENDING:
            self.take(Step.CANCEL)
        else:
            self.interrupted = True
        return True

    def go_on(self) -> None:
        """One step of the coroutine, if anything makes it take one."""
        if self.interrupted:
            self.interrupted = False
            self.told.clear()  # the interruption is quicker
            self._be_interrupted()
        elif self.told:
            self._end(self.told.pop())

    def _be_interrupted(self) -> None:
        match self.on_cancel:
            case OnCancel.OBEY:
                self.take(Step.CANCEL)
            case OnCancel.RETURN:
                self._end("partial")
            case OnCancel.RAISE:
                self._end(CleanUpFailed())
            case OnCancel.SWALLOW:
                pass

    def _end(self, what: object) -> None:
        if not isinstance(what, BaseException):
            self.value = what
            self.take(Step.CANCEL if self.asked else Step.COMPLETE)
            return
        if not (self.asked and isinstance(what, asyncio.CancelledError)):
            self.error = what
        self.take(Step.CANCEL if self.asked else Step.FAIL)


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

    @rule(on_cancel=st.sampled_from(OnCancel), priority=st.integers(-1, 1))
    def create(self, on_cancel: OnCancel, priority: int) -> None:
        self.acts.append(lambda: self._create(on_cancel, priority))

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
    @precondition(lambda self: self.closing is None)
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
        try:
            self._end_all()
        finally:
            for task, puppet, _ in self.tasks:
                puppet.on_cancel = OnCancel.OBEY
                task.cancel()
            self.runner.close()

    def _end_all(self) -> None:
        self.turn()
        for _ in self.tasks:  # each turn ends at least one
            for number in range(len(self.tasks)):
                self._tell(number, "the end")
            self.turn()
        assert not self.scheduler.unfinished
        self.runner.run(self.scheduler.close())

    def _create(self, on_cancel: OnCancel, priority: int) -> None:
        puppet = Puppet(on_cancel)
        if self.closing is not None:
            with pytest.raises(SchedulerClosed):
                self.scheduler.create_task(puppet.act)
            return
        task = self.scheduler.create_task(puppet.act, priority=priority)
        self.tasks.append((task, puppet, Expected(on_cancel, priority)))

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
            self._check()
        self.acts.clear()
        await turns()
        self._go_on()
        self._check()

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

    def _check(self) -> None:
        assert [task.status() for task, _, _ in self.tasks] == [e.status for _, _, e in self.tasks]
        unfinished = {task for task, _, expected in self.tasks if not expected.status.finished}
        assert self.scheduler.unfinished == unfinished
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


LifeOfTasks.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestLifeOfTasks = LifeOfTasks.TestCase
