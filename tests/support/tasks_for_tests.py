"""Tasks that do what a test tells them, by files in a folder of its own."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from app.jobs import JobContext, task

LOOK_EVERY = 0.002


class Order(BaseModel):
    """What somebody ordered."""

    item: str
    count: Annotated[int, Field(gt=0)]


def is_there(path: Path) -> bool:
    """Whether a file exists."""
    return path.exists()


def text_of(path: Path) -> str:
    """What is in a file."""
    return path.read_text()


def add_line(path: Path) -> int:
    """Add a line to a file; returns how many there are now."""
    with path.open("a") as file:
        file.write("run\n")
    return text_of(path).count("\n")


async def until_there(path: Path) -> None:
    """Wait until a file exists."""
    while not is_there(path):  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(LOOK_EVERY)


@task(timeout=60)
async def wait_for_file(path: Path) -> str:
    """Waits until a file exists, and returns what is in it."""
    await until_there(path)
    return text_of(path)


@task
async def report_progress(path: Path, *, job: JobContext) -> None:
    """Reports progress, then waits until a file exists."""
    job.progress(0.5, "half way")
    await until_there(path)


@task
async def never_end() -> None:
    """Waits for its cancel."""
    await asyncio.Event().wait()


@task
async def return_when_cancelled(value: Any) -> Any:
    """Catches its cancel and returns a value."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return value


@task
async def fail_when_cancelled() -> None:
    """Fails to clean up after its cancel."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise RuntimeError("could not clean up") from None


@task
async def clean_up(path: Path) -> None:
    """Cleans up after its cancel until a file exists."""
    try:
        await asyncio.Event().wait()
    finally:
        await until_there(path)


@task
async def ignore_cancel(path: Path) -> str:
    """Goes on after its cancel until a file exists."""
    while not is_there(path):
        try:
            await until_there(path)
        except asyncio.CancelledError:
            continue
    return "went on"


@task
async def count_runs(path: Path) -> int:
    """Adds a line to a file, and returns how many there are."""
    return add_line(path)


@task
async def return_text_as_number() -> int:
    """Returns what is not of the declared type."""
    wrong: Any = "5"
    return wrong  # type: ignore[no-any-return]


@task
async def place_order(order: Order, *, express: bool = False) -> Order:
    """Takes a model."""
    return order


@task(retries=1, backoff=0)
async def wait_in_first_attempt(path: Path, *, job: JobContext) -> int:
    """Adds a line to a file; its first attempt never ends, a later one returns its number."""
    add_line(path)
    if job.attempt == 1:
        await asyncio.Event().wait()
    return job.attempt


@task
async def wait_after_line(path: Path) -> None:
    """Adds a line to a file, and never ends."""
    add_line(path)
    await asyncio.Event().wait()


@task
async def block(seconds: float, path: Path) -> None:
    """Says so and blocks the event loop, once a file called as that one, with `.go`, exists."""
    await until_there(path.with_suffix(".go"))
    add_line(path)
    time.sleep(seconds)  # noqa: ASYNC251 - the defect that a server must survive


@task
async def spin(seconds: float, path: Path) -> None:
    """Blocks the event loop with Python code, when `block` would."""
    await until_there(path.with_suffix(".go"))
    add_line(path)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@task
async def leave_a_thread(seconds: float) -> None:
    """Waits for a thread that does not hear of its cancel."""
    await asyncio.to_thread(time.sleep, seconds)


@task(max_running=1)
async def one_at_a_time(path: Path) -> None:
    """Waits until a file exists, one job at a time."""
    await until_there(path)


_released = asyncio.Event()


@task
async def hold() -> None:
    """Waits until `release` runs, in the same process."""
    await _released.wait()


@task
async def release() -> None:
    """Lets every `hold` go."""
    _released.set()


@task
async def write_lines(count: int, *, job: JobContext) -> None:
    """Writes so many log lines."""
    for number in range(count):
        job.log(f"line {number}")


@task
async def talk_and_end(*, job: JobContext) -> None:
    """Says something, and has ended a moment later."""
    job.log("a line")
    job.progress(0.5, "half way")
    await asyncio.sleep(0.1)
