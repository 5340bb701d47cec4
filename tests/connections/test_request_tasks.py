import asyncio
import gc

import pytest

from app.request_tasks import MOST_IDLE, RequestTasks
from tests.support.connections import Recorder, listening, until

Task = asyncio.Task[None]


class Requests:
    """Requests that tell which task they run in, and end when `go` is set."""

    def __init__(self) -> None:
        self.tasks = RequestTasks()
        self.busy: set[Task] = set()
        self.ran_in: list[Task | None] = []
        self.go = asyncio.Event()

    async def one(self) -> None:
        """One of them."""
        self.ran_in.append(asyncio.current_task())
        await self.go.wait()

    async def run(self, count: int) -> list[Task | None]:
        """The tasks that so many at once run in, once they have begun."""
        before = len(self.ran_in)
        for _ in range(count):
            self.tasks.run(self.one(), self.busy)
        assert len(self.ran_in) == before, "none begins at once"
        assert len(self.busy) >= count
        await until(lambda: len(self.ran_in) == before + count)
        return self.ran_in[before:]

    async def end(self) -> None:
        """Let all of them end."""
        self.go.set()
        await until(lambda: not self.busy)
        self.go.clear()


async def test_one_after_another_share_a_task() -> None:
    """As many tasks are made as requests are answered at once."""
    requests = Requests()
    first = await requests.run(2)
    assert len(set(first)) == 2
    assert requests.busy == set(first)
    await requests.end()
    assert set(await requests.run(1)) < set(first)
    more = await requests.run(2)
    assert len(set(more) - set(first)) == 1
    assert len(requests.busy) == 3
    await requests.end()


async def test_few_tasks_are_kept() -> None:
    """What a burst has left behind goes."""
    requests = Requests()
    burst = {task for task in await requests.run(2 * MOST_IDLE) if task is not None}
    await requests.end()
    await until(lambda: sum(task.done() for task in burst) == MOST_IDLE)
    assert not any(task.cancelled() for task in burst)


async def test_a_task_that_is_cancelled_answers_no_other_request() -> None:
    """Neither one that is cancelled in its request, nor one that waits for the next."""
    requests = Requests()
    (busy,) = await requests.run(1)
    assert busy is not None
    busy.cancel()
    await until(busy.done)
    assert not requests.busy
    (idle,) = await requests.run(1)
    assert idle is not None
    await requests.end()
    idle.cancel()
    (other,) = await requests.run(1)
    assert other not in (busy, idle)
    assert idle.cancelled()
    await requests.end()


async def test_a_request_that_never_began_is_closed(recwarn: pytest.WarningsRecorder) -> None:
    """Its task was cancelled in the turn in which the request came."""
    requests = Requests()
    (task,) = await requests.run(1)
    assert task is not None
    await requests.end()
    requests.tasks.run(requests.one(), requests.busy)
    task.cancel()
    await until(task.done)
    assert requests.ran_in == [task]
    assert not requests.busy
    gc.collect()
    assert not recwarn.list
    assert await requests.run(1) != [task]
    await requests.end()


async def test_a_request_that_hides_its_cancel_ends_its_task_all_the_same() -> None:
    """A server that ends cancels the task; the next request would not know of that."""
    requests = Requests()

    async def stubborn() -> None:
        try:
            await requests.one()
        except asyncio.CancelledError:
            requests.ran_in.append(None)

    requests.tasks.run(stubborn(), requests.busy)
    await until(lambda: len(requests.ran_in) == 1)
    (task,) = requests.busy
    task.cancel()
    await until(task.done)
    assert requests.ran_in[1:] == [None]
    assert not requests.busy


async def test_a_request_that_raises_ends_its_task_alone() -> None:
    """The exception is asyncio's to tell of; the next request gets another task."""
    requests = Requests()
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def failing() -> None:
        raise ValueError("a defect")

    requests.tasks.run(failing(), requests.busy)
    await until(lambda: not requests.busy)
    await requests.run(1)
    await requests.end()
    assert [str(context["exception"]) for context in told] == ["a defect"]


@pytest.mark.parametrize("waits", [False, True])
async def test_connections_share_tasks(waits: bool) -> None:
    """A server that ends waits for requests, and not for the tasks that are kept."""
    app = Recorder()
    async with listening(app) as listener:
        for _ in range(3):
            app.scopes.clear()
            app.go.clear()
            async with listener.connect() as peer:
                peer.send(b"GET /a HTTP/1.1\r\nHost: awaitd\r\n\r\n")
                if waits:
                    await until(lambda: bool(app.scopes))
                    assert len(listener.state.tasks) == 1
                app.go.set()
                assert b"200 OK" in await peer.answer()
                await until(lambda: not listener.state.tasks)
