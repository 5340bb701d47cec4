"""Tasks whose coroutines do what the test says, when it says it."""

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from pydantic import SecretStr

from app.jobs import JobContext, task
from app.jobs.models import NewJob
from app.jobs.options import options_of
from app.jobs.registry import TaskRegistry, task_from
from app.jobs.texts import to_json

BRIEF: Final = 0.02
"""The timeout of the tasks that have one, in seconds."""

secret: contextvars.ContextVar[str] = contextvars.ContextVar("secret", default="none")


class Puppets:
    """A coroutine called `name` begins, and ends when the test says how, each attempt by itself.

    Either side may come first.
    """

    def __init__(self) -> None:
        self.started: list[str] = []
        """The names, in the order of their first steps."""
        self.told: list[str] = []
        """The secrets that coroutines were given, in the order of their first steps."""
        self.cancels: Counter[str] = Counter()
        """How often `CancelledError` came to each."""
        self.peak: Counter[str] = Counter()
        """How many ran at once at the most, by task; of all together under an empty name."""
        self.at_first_step: Callable[[str], None] = lambda name: None
        """Called with its name when a coroutine begins."""
        self._running: Counter[str] = Counter()
        self._begun: dict[tuple[str, int], asyncio.Event] = {}
        self._cancelled: dict[str, asyncio.Event] = {}
        self._ends: dict[tuple[str, int], asyncio.Future[Any]] = {}

    def registry(self, *, without: tuple[str, ...] = ()) -> TaskRegistry:
        """The tasks below, less those that are gone."""
        methods = [getattr(self, name) for name in vars(type(self)) if name not in without]
        marked = [(method, options_of(method)) for method in methods]
        return TaskRegistry(task_from(method, options) for method, options in marked if options)

    async def begun(self, name: str, attempt: int = 1) -> None:
        """Wait for the first step of an attempt."""
        await asyncio.wait_for(self._begun_of(name, attempt).wait(), 10)

    async def cancelled(self, name: str) -> None:
        """Wait until `CancelledError` has come to it."""
        await asyncio.wait_for(self._cancelled_of(name).wait(), 10)

    def end(self, name: str, value: Any = None, *, attempt: int = 1) -> None:
        """Let an attempt return a value."""
        self._end_of(name, attempt).set_result(value)

    def fail(self, name: str, error: BaseException, *, attempt: int = 1) -> None:
        """Let an attempt raise."""
        self._end_of(name, attempt).set_exception(error)

    @task
    async def echo(self, value: Any = None) -> Any:
        return value

    @task
    async def number(self, value: Any = None) -> int:
        number: int = value
        return number

    @task
    async def look(self) -> str:
        return secret.get()

    @task
    async def hold(self, name: str, *, job: JobContext) -> Any:
        return await self._act("hold", name, job)

    @task(max_running=2)
    async def pair(self, name: str, *, job: JobContext) -> Any:
        return await self._act("pair", name, job)

    @task(retries=2, backoff=0)
    async def persistent(self, name: str, *, job: JobContext) -> Any:
        return await self._act("persistent", name, job)

    @task(retries=1, backoff=lambda attempt: 60.0)
    async def patient(self, name: str, *, job: JobContext) -> Any:
        return await self._act("patient", name, job)

    @task(timeout=BRIEF)
    async def brief(self, name: str, *, job: JobContext) -> Any:
        return await self._act("brief", name, job)

    @task(timeout=BRIEF, retries=1, backoff=0)
    async def brief_twice(self, name: str, *, job: JobContext) -> Any:
        return await self._act("brief_twice", name, job)

    @task
    async def tidy(self, name: str, value: Any = "tidied", *, job: JobContext) -> Any:
        try:
            return await self._act("tidy", name, job)
        except asyncio.CancelledError:
            return value

    @task
    async def messy(self, name: str, *, job: JobContext) -> Any:
        try:
            return await self._act("messy", name, job)
        except asyncio.CancelledError:
            raise ValueError("the clean-up broke") from None

    @task(retries=1, backoff=0)
    async def deaf(self, name: str, *, job: JobContext) -> Any:
        while True:
            try:
                return await self._act("deaf", name, job)
            except asyncio.CancelledError:
                continue

    @task
    async def talk(self, name: str, *, job: JobContext) -> Any:
        job.log("a line")
        job.progress(0.25, "a quarter")
        return await self._act("talk", name, job)

    @task(retries=1, backoff=0, sensitive=("pin",))
    async def guarded(
        self, name: str, password: SecretStr, pin: str = "", *, job: JobContext
    ) -> Any:
        self.told.append(password.get_secret_value() + pin)
        return await self._act("guarded", name, job)

    @task(retries=1, backoff=lambda attempt: 0.2)
    async def talk_again(self, name: str, *, job: JobContext) -> Any:
        job.log("a line")
        job.progress(0.5)
        return await self._act("talk_again", name, job)

    async def _act(self, task: str, name: str, job: JobContext) -> Any:
        """Note that it runs, and wait for its end."""
        self.at_first_step(name)
        self.started.append(name)
        for of in (task, ""):
            self._running[of] += 1
            self.peak[of] = max(self.peak[of], self._running[of])
        self._begun_of(name, job.attempt).set()
        try:
            # Shielded: the test may still say how it ends after a cancel.
            return await asyncio.shield(self._end_of(name, job.attempt))
        except asyncio.CancelledError:
            self.cancels[name] += 1
            self._cancelled_of(name).set()
            raise
        finally:
            for of in (task, ""):
                self._running[of] -= 1

    def _begun_of(self, name: str, attempt: int) -> asyncio.Event:
        return self._begun.setdefault((name, attempt), asyncio.Event())

    def _cancelled_of(self, name: str) -> asyncio.Event:
        return self._cancelled.setdefault(name, asyncio.Event())

    def _end_of(self, name: str, attempt: int) -> asyncio.Future[Any]:
        if (name, attempt) not in self._ends:
            self._ends[name, attempt] = asyncio.get_running_loop().create_future()
        return self._ends[name, attempt]


def job_of(task: str, name: str | None = None, /, **options: Any) -> NewJob:
    """A submission of one of the tasks above; `params` are given as a dict."""
    params = options.pop("params", {} if name is None else {"name": name})
    return NewJob(task=task, params=None if params is None else to_json(params), **options)
