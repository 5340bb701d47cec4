"""What the scheduler raises."""


class SchedulerError(Exception):
    """Base of every error the scheduler raises about itself; a task's own error is never one."""


class TaskNotFinished(SchedulerError):
    """Raised when a result or exception is asked of a task that has not finished.

    `await task` waits for it instead.
    """

    def __init__(self, name: str, status: str) -> None:
        super().__init__(f"task {name!r} is {status}: await it, or ask again when it has finished")
        self.name = name
        self.status = status


class SchedulerClosed(SchedulerError):
    """Raised by `create_task` when the scheduler is closing or closed."""


class IllegalStep(SchedulerError):
    """Raised when a step is asked for that the table of states does not have."""

    def __init__(self, status: str, step: str) -> None:
        super().__init__(f"there is no step '{step}' from status '{status}'")
        self.status = status
        self.step = step
