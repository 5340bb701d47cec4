"""Who waits for a job to change. A change wakes its own waiters and nobody else."""

import asyncio
from uuid import UUID


class Waiters:
    """The waiters of each job; waking says only that there may be something new to read."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, set[asyncio.Future[None]]] = {}

    async def wait(self, job_id: UUID, timeout: float) -> None:
        """Return when the job has changed, or all are let go, or after `timeout` seconds."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, set()).add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=timeout)
        finally:
            self._forget(job_id, waiter)

    def wake(self, job_id: UUID) -> None:
        """The job has changed."""
        for waiter in self._waiting.pop(job_id, ()):
            waiter.set_result(None)

    def wake_all(self) -> None:
        """Let everybody go."""
        for job_id in tuple(self._waiting):
            self.wake(job_id)

    def _forget(self, job_id: UUID, waiter: asyncio.Future[None]) -> None:
        if waiters := self._waiting.get(job_id):
            waiters.discard(waiter)
            if not waiters:
                del self._waiting[job_id]
