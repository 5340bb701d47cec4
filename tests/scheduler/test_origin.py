import asyncio

from app.scheduler import BackgroundTaskScheduler
from app.scheduler.origin import name_behind


async def _name() -> str | None:
    task = asyncio.current_task()
    assert task is not None
    return name_behind(task)


async def test_a_task_and_its_subtasks_have_its_name() -> None:
    """However they were made and nested."""

    async def work() -> list[str | None]:
        async with asyncio.TaskGroup() as group:
            inner = group.create_task(_gathered())
        return [await _name(), *await _gathered(), *inner.result()]

    async with BackgroundTaskScheduler() as scheduler:
        one = scheduler.create_task(work, name="one")
        two = scheduler.create_task(_name)
        assert await one == ["one"] * 3
        assert await two == "_name"


async def test_other_tasks_have_none() -> None:
    """Not even those that made background tasks."""
    async with BackgroundTaskScheduler() as scheduler:
        await scheduler.create_task(_name)
        assert await _name() is None
        assert await asyncio.create_task(_name()) is None


async def _gathered() -> list[str | None]:
    return list(await asyncio.gather(_name()))
