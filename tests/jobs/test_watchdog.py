import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from app.jobs.watchdog import Watchdog
from app.scheduler import BackgroundTaskScheduler

BLOCKED_AFTER = 0.4
"""Long enough that no busy machine keeps a test's own coroutine from its turn."""


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Real time, on either event loop."""
    return "asyncio", {"use_uvloop": request.param}


class Noticed(logging.Handler):
    """What the watchdog logs: `blocked` once the loop is, `goes_on` once it turns again."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.blocked = threading.Event()
        self.goes_on = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        (self.blocked if "has been blocked" in self.lines[-1] else self.goes_on).set()

    def wait(self) -> None:
        """Block until the watchdog has noticed."""
        assert self.blocked.wait(10)

    async def end(self) -> None:
        """Wait until it has noticed that the loop turns."""
        assert await asyncio.to_thread(self.goes_on.wait, 10)


@pytest.fixture
def noticed() -> Iterator[Noticed]:
    """The log of the watchdog."""
    handler = Noticed()
    log = logging.getLogger("app.jobs.watchdog")
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


@contextmanager
def watching(
    blocked_after: float = BLOCKED_AFTER, used: Callable[[], float] = time.monotonic
) -> Iterator[Watchdog]:
    """A watchdog of the running loop; by default of a process that always computes."""
    watchdog = Watchdog(blocked_after, used)
    watchdog.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()


async def run(work: Callable[[], object]) -> None:
    """Run something in a background task that is called `the job`."""

    async def call() -> None:
        work()

    async with BackgroundTaskScheduler() as scheduler:
        await scheduler.create_task(call, name="the job")


async def test_it_names_the_job_and_where_it_is(noticed: Noticed) -> None:
    """The stack begins with the coroutine and ends where it blocks the loop."""
    with watching():
        await run(noticed.wait)
        await noticed.end()
    first = noticed.lines[0]
    head, frame, line = first.splitlines()[:3]
    assert head.endswith(" by job the job; nothing else runs")
    assert frame.startswith("  File ")
    assert (frame.rpartition(", ")[2], line) == ("in call", "    work()")
    assert "in wait\n    assert self.blocked.wait(10)\n" in first
    assert "run_forever" not in first


async def test_it_names_the_job_after_an_await(noticed: Noticed) -> None:
    """The stack begins with the coroutine there, too, and the name is not that of another job."""

    async def wait_then_block() -> None:
        await asyncio.sleep(0)
        noticed.wait()

    async def nothing() -> None:
        pass

    with watching():
        async with BackgroundTaskScheduler() as scheduler:
            await scheduler.create_task(nothing, name="another")
            blocks = scheduler.create_task(wait_then_block, name="the job")
            await blocks
        await noticed.end()
    head, frame, *_ = noticed.lines[0].splitlines()
    assert head.endswith(" by job the job; nothing else runs")
    assert frame.endswith(", in wait_then_block")


async def test_it_names_the_job_of_a_subtask(noticed: Noticed) -> None:
    """Also of one that a subtask of a subtask made."""

    async def child() -> None:
        noticed.wait()

    async def parent() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    async def work() -> None:
        await asyncio.gather(parent())

    with watching():
        async with BackgroundTaskScheduler() as scheduler:
            await scheduler.create_task(work, name="the job")
        await noticed.end()
    assert "by job the job" in noticed.lines[0]
    assert "in child\n" in noticed.lines[0]


async def test_it_names_what_is_no_job(noticed: Noticed) -> None:
    """Any other asyncio task by its name, and a callback by its stack."""

    async def request() -> None:
        noticed.wait()

    with watching():
        await asyncio.create_task(request(), name="the request")
        await noticed.end()
        assert "by the request, which is no job's" in noticed.lines[0]
        noticed.blocked.clear()
        noticed.goes_on.clear()
        asyncio.get_running_loop().call_soon(noticed.wait)
        await noticed.end()
    assert "by a callback" in noticed.lines[2]
    assert "in wait\n" in noticed.lines[2]


async def test_it_says_once_that_it_is_blocked_and_once_that_it_goes_on(noticed: Noticed) -> None:
    """However long it takes; how often and for how long is counted."""

    def block() -> None:
        noticed.wait()
        noticed.blocked.clear()
        assert not noticed.blocked.wait(3 * BLOCKED_AFTER)

    with watching() as watchdog:
        assert (watchdog.times, watchdog.seconds) == (0, 0)
        began = time.monotonic()
        await run(block)
        times, during = watchdog.times, watchdog.seconds
        assert 4 * BLOCKED_AFTER < during <= time.monotonic() - began + BLOCKED_AFTER
        await noticed.end()
        assert (times, watchdog.times) == (1, 1)
        assert during <= watchdog.seconds
    blocked, goes_on = noticed.lines
    assert " by job the job; " in blocked
    assert goes_on.endswith(" by job the job")


async def test_it_says_nothing_of_a_loop_that_turns(noticed: Noticed) -> None:
    """Many small steps are no block."""
    with watching(blocked_after=0.5) as watchdog:
        until = time.monotonic() + 0.8
        while time.monotonic() < until:
            await run(lambda: None)
    assert (noticed.lines, watchdog.times, watchdog.seconds) == ([], 0, 0)


async def test_it_notices_a_call_that_lets_no_thread_run(noticed: Noticed) -> None:
    """It does so once the call is over, for it cannot run before."""

    def compute() -> None:
        until = time.monotonic() + 4 * BLOCKED_AFTER
        while time.monotonic() < until:
            sum(range(20_000_000))

    with watching() as watchdog:
        await run(compute)
        await noticed.end()
        assert watchdog.times >= 1


async def test_it_blames_nobody_for_a_suspended_process(noticed: Noticed) -> None:
    """A process that does not run and uses no processor time is suspended."""
    with watching(0.2, used=lambda: 0.0) as watchdog:
        await run(lambda: sum(range(50_000_000)))
        await run(lambda: None)
        assert (noticed.lines, watchdog.times, watchdog.seconds) == ([], 0, 0)


async def test_it_ends_when_it_is_told_to() -> None:
    """Its thread is gone, and so is its timer; to stop one that never started does nothing."""
    before = threading.active_count()
    with watching():
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    Watchdog().stop()


def test_it_ends_with_the_loop(noticed: Noticed) -> None:
    """A loop that has ended, or does not run now, is not blocked; with its end the thread ends."""

    async def begin() -> Watchdog:
        watchdog = Watchdog(BLOCKED_AFTER)
        watchdog.start()
        return watchdog

    with asyncio.Runner() as runner:
        watchdog = runner.run(begin())
        time.sleep(3 * BLOCKED_AFTER)
    assert watchdog._thread is not None
    watchdog._thread.join(10)
    assert not watchdog._thread.is_alive()
    assert noticed.lines == []
