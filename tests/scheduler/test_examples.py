"""The three examples that introduce the scheduler, in docs/scheduler.md and as tests."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from app.scheduler import BackgroundTaskScheduler, Status, TaskNotFinished
from tests.support.virtual import run_virtual

PAGE = Path(__file__).parents[2] / "docs/scheduler.md"
RUN = "asyncio.run(main())\n"


async def test_a_task_that_returns(scheduler: BackgroundTaskScheduler) -> None:
    """A task is running while it sleeps, then completed with what it returned."""

    async def work() -> str:
        await asyncio.sleep(2)
        return "Task completed!"

    task = scheduler.create_task(work)
    await asyncio.sleep(1)
    assert task.status() is Status.RUNNING
    with pytest.raises(TaskNotFinished):
        task.get_result()
    await asyncio.sleep(2)
    assert task.status() is Status.COMPLETED
    assert task.get_result() == "Task completed!"


async def test_a_task_that_raises(scheduler: BackgroundTaskScheduler) -> None:
    """A task that raises is failed, and `get_result` raises that very exception."""
    error = ValueError("Something went wrong!")

    async def work() -> None:
        await asyncio.sleep(2)
        raise error

    task = scheduler.create_task(work)
    await asyncio.sleep(3)
    assert task.status() is Status.FAILED
    with pytest.raises(ValueError, match="Something went wrong!") as raised:
        task.get_result()
    assert raised.value is error


async def test_a_task_that_is_cancelled(scheduler: BackgroundTaskScheduler) -> None:
    """A task that catches its cancel and returns None is cancelled, and its result is None."""

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return

    task = scheduler.create_task(work)
    await asyncio.sleep(1)
    assert task.cancel()
    await asyncio.sleep(1)
    assert task.status() is Status.CANCELLED
    assert task.get_result() is None


def test_the_page_shows_three_examples_that_run() -> None:
    """The examples of docs/scheduler.md run as they stand there, one after the other."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    examples = [block for block in blocks if block.endswith(RUN)]
    assert len(examples) == 3
    names: dict[str, Any] = {}
    for example in examples:
        exec(compile(example.removesuffix(RUN), PAGE, "exec"), names)
        run_virtual(names.pop("main"))
