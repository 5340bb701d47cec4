"""What a task should do, by the table of steps alone, and a coroutine to compare it with."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum

from app.scheduler import Status, Step
from app.scheduler.states import TRANSITIONS


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
