"""The tasks that wait for a slot."""

import heapq
from collections import deque
from typing import Any

from app.scheduler.task import BackgroundTask


class Waiting:
    """Tasks in the order in which they start: higher priority first, then as they came."""

    def __init__(self) -> None:
        self._lines: dict[int, deque[BackgroundTask[Any]]] = {}
        self._priorities: list[int] = []  # a heap of those of the lines, negated
        self.length = 0
        """How many there are, those included that were cancelled while they waited."""

    def push(self, task: BackgroundTask[Any], priority: int) -> None:
        """Add a task at the end of those of its priority."""
        line = self._lines.get(priority)
        if line is None:
            line = self._lines[priority] = deque()
            heapq.heappush(self._priorities, -priority)
        line.append(task)
        self.length += 1

    def pop(self) -> BackgroundTask[Any]:
        """Take the next one."""
        priority = -self._priorities[0]
        line = self._lines[priority]
        task = line.popleft()
        self.length -= 1
        if not line:
            del self._lines[priority]
            heapq.heappop(self._priorities)
        return task

    def drop_finished(self) -> None:
        """Forget those that were cancelled while they waited."""
        lines = {
            priority: deque(task for task in line if task.coroutine is not None)
            for priority, line in self._lines.items()
        }
        self._lines = {priority: line for priority, line in lines.items() if line}
        self._priorities = sorted(-priority for priority in self._lines)  # a heap, too
        self.length = sum(map(len, self._lines.values()))
