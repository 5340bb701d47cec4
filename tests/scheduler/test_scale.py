import asyncio
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from app.scheduler import BackgroundTaskScheduler, Status
from tests.scheduler.coroutines import return_it, return_when_cancelled, turns

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def _no_debug_mode() -> None:
    """Debug mode takes a note of where each task was made, which takes longer than the task."""
    asyncio.get_running_loop().set_debug(False)


@pytest.mark.usefixtures("_no_debug_mode")
@pytest.mark.parametrize(("count", "max_running"), [(100_000, None), (20_000, 1000)])
async def test_a_hundred_thousand_tasks_at_once(count: int, max_running: int | None) -> None:
    """Any number of tasks at once all end with their own values."""
    gate = asyncio.get_running_loop().create_future()

    async def wait(number: int) -> int:
        await gate
        return number

    async with BackgroundTaskScheduler(max_running=max_running) as scheduler:
        tasks = [scheduler.create_task(wait, number) for number in range(count)]
        await turns()
        running = sum(task.status() is Status.RUNNING for task in tasks)
        assert running == (max_running or count)
        gate.set_result(None)
    assert [task.get_result() for task in tasks] == list(range(count))


@pytest.mark.usefixtures("_no_debug_mode")
async def test_thousands_of_cancels() -> None:
    """Leaving with 20,000 tasks, a tenth of them running, cancels them all."""
    async with BackgroundTaskScheduler(max_running=2000, grace=0) as scheduler:
        tasks = [scheduler.create_task(return_when_cancelled, 1) for _ in range(20_000)]
        await turns()
    assert {task.status() for task in tasks} == {Status.CANCELLED}
    assert sum(task.get_result() or 0 for task in tasks) == 2000


@pytest.mark.usefixtures("_no_debug_mode")
async def test_a_finished_task_is_small() -> None:
    """The handle of a finished task takes no more than 300 bytes."""
    count = 2000
    async with BackgroundTaskScheduler() as scheduler:
        tracemalloc.start()
        try:
            tasks = [scheduler.create_task(return_it, None) for _ in range(count)]
            for task in tasks:
                await task
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert size / count < 300


def test_nothing_is_left_behind_in_development_mode() -> None:
    """Python's development mode has nothing to say about tasks, however they end."""
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-m", "tests.scheduler.every_ending"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_it_runs_on_uvloop() -> None:
    """The scheduler asks nothing of the event loop that uvloop does not have."""
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        async with BackgroundTaskScheduler(max_running=1, grace=0) as scheduler:
            running = scheduler.create_task(return_when_cancelled, "partial")
            pending = scheduler.create_task(return_it, "value")
            with pytest.raises(TimeoutError):
                await running.wait(0)
            running.cancel()
            assert (await running, await pending.wait(timeout=10)) == ("partial", "value")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(), timeout=10))
