"""The asyncio tasks that requests run in: kept for the next ones.

A task costs more than much of what a request asks for: it is made, registered with asyncio, given a
context, put among those that a shutdown waits for, and taken out of all that again. So requests of
one task share its context, too: whatever sets a context variable sets it for every request.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeAlias

Request: TypeAlias = Coroutine[Any, Any, None]
"""What answers one."""

MOST_IDLE: Final = 64
"""Tasks that are kept: more than requests that are ready in one turn of the event loop, mostly."""


class RequestTasks:
    """Runs each request in a task that runs no other meanwhile. Of one event loop."""

    def __init__(self) -> None:
        self._idle: dict[asyncio.Task[None], asyncio.Future[Request]] = {}
        """Each with what it gets its next request by; the last to have ended is taken first."""

    def run(self, request: Request, busy: set[asyncio.Task[None]]) -> None:
        """Begin in a later turn of the event loop. Its task is in `busy` until the request ends.

        A task that is cancelled ends with its request.
        """
        while self._idle:
            task, following = self._idle.popitem()
            if not following.done():  # else the task has just been cancelled
                following.set_result(request)
                break
        else:
            task = asyncio.get_running_loop().create_task(self._run_all(request, busy))
        busy.add(task)

    async def _run_all(self, request: Request, busy: set[asyncio.Task[None]]) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        while True:
            try:
                await request
            finally:
                busy.discard(task)
            if task.cancelling() or len(self._idle) >= MOST_IDLE:
                return
            following = self._idle[task] = loop.create_future()
            try:
                request = await following
            except asyncio.CancelledError:
                self._idle.pop(task, None)
                busy.discard(task)
                if not following.cancelled():
                    following.result().close()  # it never began
                raise
