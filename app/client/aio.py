"""The client for programs with an event loop."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from app.client import steps
from app.client.drivers import AsyncDriver
from app.client.options import Filters, Options
from app.client.records import Delivery, Job, JobEvent, LogLine, Progress, Task
from app.client.streams import AllJobs, OneJob
from app.client.transport import Service
from app.scheduler import Status


class AsyncAwaitd:
    """A service, to submit jobs to and to find them at. Of one event loop.

    `url` and `api_key` are those of the environment (`AWAITD_URL`, `AWAITD_API_KEY`) where they
    are not given; `ValueError` says that one is none. `timeout` bounds each request in seconds,
    beside what is waited for a job, and with all of its attempts: it is made again after a lost
    connection, a 429 or a 503, not before `Retry-After`. That is safe: submissions carry a key.

    What goes wrong between the two is raised as an `AwaitdError`.
    """

    def __init__(
        self, url: str | None = None, *, api_key: str | None = None, timeout: float = 30.0
    ) -> None:
        service = Service.of(url, api_key, timeout)
        self.url: Final = service.url
        """Where the service is."""
        self._driver = AsyncDriver(service)

    async def submit(
        self, task: str, options: Options | None = None, /, **params: Any
    ) -> "AsyncJobHandle":
        """Submit a job, which is durable when this returns; `params` are the task's, as JSON.

        Raises `UnknownTask`, `InvalidParams`, or `Busy` if there is no room for it in time.
        """
        return self._handle(await self._driver.run(steps.submit(options, task=task, params=params)))

    def job(self, job_id: UUID | str) -> "AsyncJobHandle":
        """The handle of a job by its id; asks nothing. Raises `ValueError` for what is no UUID."""
        return self._handle(job_id if isinstance(job_id, UUID) else UUID(job_id))

    async def jobs(
        self, filters: Filters | None = None, *, page_size: int = 100
    ) -> AsyncIterator[Job]:
        """The jobs that fit, newest first, as summaries; further pages are asked for on the way."""
        cursor = None
        while True:
            page = await self._driver.run(steps.page(filters or Filters(), page_size, cursor))
            for job in page.jobs:
                yield job
            if (cursor := page.next) is None:
                return

    async def tasks(self) -> list[Task]:
        """What can be run."""
        return await self._driver.run(steps.tasks())

    def events(self, filters: Filters | None = None) -> AsyncGenerator[JobEvent, None]:
        """What happens to the jobs that fit, from now on and without end.

        These are states, not history: of several changes at once the latest is told. A stream
        that is cut off is resumed where it was; progress and log lines are left out meanwhile.
        """
        return self._driver.follow(AllJobs(filters or Filters()))

    async def close(self) -> None:
        """Let go of all connections, as leaving `async with` does."""
        await self._driver.close()

    def _handle(self, job_id: UUID) -> "AsyncJobHandle":
        return AsyncJobHandle(job_id, self._driver)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncJobHandle:
    """A job of a service, with the verbs of the scheduler's `BackgroundTask`.

    `await job` waits for its result, as for a `BackgroundTask`. Each verb asks the
    service; all raise `JobNotFound`, and `JobExpired` after the retention period.
    """

    def __init__(self, job_id: UUID, driver: AsyncDriver) -> None:
        self.id: Final = job_id
        self._driver = driver

    async def status(self) -> Status:
        """Where the job stands now."""
        return await self._driver.run(steps.status(self.id))

    async def get_result(self) -> Any:
        """What the coroutine returned, as JSON; None for a cancelled one that returned nothing.

        Raises `JobFailed` for a failed job, and `TaskNotFinished` before the end.
        """
        return await self._driver.run(steps.result(self.id))

    async def wait(self, timeout: float | None = None) -> Any:
        """Wait until the job has finished, then as `get_result()`.

        Raises `TimeoutError` when `timeout` seconds run out, which leaves the job alone.
        """
        return await self._driver.run(steps.wait(self.id, timeout))

    async def cancel(self) -> bool:
        """Ask the job to stop; True if this call newly asked.

        A pending job is cancelled at once and never runs. In a running one `CancelledError` is
        raised where it awaits, once; it is cancelled when it has really ended.
        """
        return await self._driver.run(steps.cancel(self.id))

    async def redeliver(self) -> Delivery:
        """Have the job's end told to its webhook once more, as the same event, and at once.

        Raises `NoDelivery` when there is nothing to tell.
        """
        return await self._driver.run(steps.redeliver(self.id))

    async def progress(self) -> Progress | None:
        """How far the running coroutine says it is; None if it says nothing."""
        return await self._driver.run(steps.progress(self.id))

    async def logs(self) -> list[LogLine]:
        """The last lines that the coroutine wrote, over all attempts, oldest first."""
        return await self._driver.run(steps.logs(self.id))

    def events(self) -> AsyncGenerator[JobEvent, None]:
        """The job's life from its state now to `done`.

        These are states, not history. A stream that is cut off is resumed where it was, also by a
        service that was started again; log lines that were written meanwhile are told, too.
        """
        return self._driver.follow(OneJob(self.id))

    async def details(self) -> Job:
        """All that is known of the job."""
        return await self._driver.run(steps.details(self.id))

    async def again(self, options: Options | None = None, /, **params: Any) -> "AsyncJobHandle":
        """Submit a copy: the same task with the same params, or with these in their place."""
        copy = steps.submit(options, copy_of=str(self.id), params=params)
        return AsyncJobHandle(await self._driver.run(copy), self._driver)

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait until the job has finished, then as `get_result()`."""
        return self.wait().__await__()

    def __eq__(self, other: object) -> bool:
        """Whether it is the same job, whose ids are unique wherever it is."""
        return isinstance(other, AsyncJobHandle) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<AsyncJobHandle {self.id}>"
