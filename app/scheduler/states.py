"""The life of a task and of a job, as one table."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from app.scheduler.errors import IllegalStep


class Status(StrEnum):
    """Where a task or job stands; the last three are final."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    def __init__(self, text: str) -> None:
        self.finished = text not in ("pending", "running")
        """True when the status never changes again."""


# By names of their own: to find a member in its class takes Python 3.11 ten times as long.
PENDING: Final = Status.PENDING
RUNNING: Final = Status.RUNNING
COMPLETED: Final = Status.COMPLETED
FAILED: Final = Status.FAILED


class Step(StrEnum):
    """What can happen to a task or job. Only a job, which has a record, takes `RETRY`."""

    START = "start"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    RETRY = "retry"


# As those above.
START: Final = Step.START
COMPLETE: Final = Step.COMPLETE
FAIL: Final = Step.FAIL
CANCEL: Final = Step.CANCEL


class _Table(dict[tuple[Status, Step], Status]):
    """Raises `IllegalStep` for the steps that it does not have."""

    def __missing__(self, key: tuple[Status, Step]) -> Status:
        raise IllegalStep(*key)


TRANSITIONS: Final[Mapping[tuple[Status, Step], Status]] = MappingProxyType(
    _Table(
        {
            (Status.PENDING, Step.START): Status.RUNNING,
            (Status.PENDING, Step.CANCEL): Status.CANCELLED,
            # A job that can never start: its task is gone, or its time to start ran out.
            (Status.PENDING, Step.FAIL): Status.FAILED,
            (Status.RUNNING, Step.COMPLETE): Status.COMPLETED,
            (Status.RUNNING, Step.FAIL): Status.FAILED,
            (Status.RUNNING, Step.CANCEL): Status.CANCELLED,
            # Between two attempts of a job.
            (Status.RUNNING, Step.RETRY): Status.PENDING,
        }
    )
)


def after(status: Status, step: Step) -> Status:
    """The status that `step` leads to from `status`; raises `IllegalStep` when there is none."""
    return TRANSITIONS[status, step]
