import asyncio
import json

import pytest

import app.tasks
from app.jobs import JobContext
from app.jobs.errors import InvalidParams
from app.jobs.registry import TaskRegistry
from app.tasks import basics
from tests.tasks.calls import run
from tests.tasks.sink import RecordingSink


@pytest.fixture
def registry() -> TaskRegistry:
    """The tasks that ship."""
    return TaskRegistry.from_modules([app.tasks])


def test_the_tasks_that_ship(registry: TaskRegistry) -> None:
    """Each has documentation and an example, and they are these five."""
    names = {"sleep", "echo", "fail", "count_primes", "check_links"}
    assert {task.name for task in registry} == names
    assert all(task.doc and task.options.example for task in registry)


@pytest.mark.parametrize("name", ["echo", "count_primes"])
async def test_an_example_runs(name: str, registry: TaskRegistry, job: JobContext) -> None:
    """The example of a task fits its parameters, and its result the declared type."""
    task = registry[name]
    params = json.dumps(task.options.example).encode()
    result = await run(task, params, job)
    assert json.loads(task.result.encode(result)) is not None


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("sleep", {"seconds": -1}),
        ("sleep", {"seconds": 3601}),
        ("sleep", {}),
        ("echo", {}),
        ("fail", {"message": None}),
        ("count_primes", {"limit": -1}),
        ("count_primes", {"limit": 10**9}),
        ("count_primes", {"limit": 10, "job": {}}),
        ("check_links", {"url": "no address"}),
        ("check_links", {"url": "ftp://example.org/"}),
        ("check_links", {"url": "https://example.org/", "max_pages": 0}),
        ("check_links", {"url": "https://example.org/", "max_pages": 1001}),
        ("check_links", {"url": "https://example.org/", "max_concurrency": 33}),
    ],
)
def test_params_out_of_bounds_are_refused(
    name: str, params: dict[str, object], registry: TaskRegistry
) -> None:
    """What a task cannot or should not do is refused before it starts."""
    with pytest.raises(InvalidParams):
        registry[name].params.parse(json.dumps(params).encode())


async def test_sleep_returns_what_was_asked_for() -> None:
    """When the time is over, the result is the number of seconds."""
    assert await basics.sleep(0) == 0


async def test_sleep_ends_when_cancelled() -> None:
    """A cancelled sleep does not go on."""
    sleeping = asyncio.create_task(basics.sleep(3600))
    await asyncio.sleep(0)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "é", [], {"a": [{"b": None}]}])
async def test_echo_returns_its_value(
    value: object, registry: TaskRegistry, job: JobContext
) -> None:
    """Any JSON comes back as it was."""
    task = registry["echo"]
    result = await run(task, json.dumps({"value": value}).encode(), job)
    assert json.loads(task.result.encode(result)) == value


async def test_fail_fails() -> None:
    """The job's error carries the message."""
    with pytest.raises(RuntimeError, match="out of paper"):
        await basics.fail("out of paper")


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        (0, 0),
        (1, 0),
        (2, 1),
        (3, 2),
        (4, 2),
        (9, 4),
        (10, 4),
        (25, 9),
        (131_070, 12_250),
        (131_075, 12_251),
        (131_101, 12_252),
        (1_000_000, 78_498),
    ],
)
async def test_count_primes_counts(limit: int, count: int, job: JobContext) -> None:
    """The count includes the limit itself and is right on both sides of a portion's edge."""
    assert await basics.count_primes(limit, job=job) == count


async def test_count_primes_agrees_with_the_definition(job: JobContext) -> None:
    """Up to 400, counting agrees with trying every divisor."""
    primes = [n for n in range(2, 401) if all(n % divisor for divisor in range(2, n))]
    for limit in range(401):
        expected = sum(prime <= limit for prime in primes)
        assert await basics.count_primes(limit, job=job) == expected


async def test_count_primes_shows_its_progress(job: JobContext, sink: RecordingSink) -> None:
    """The fraction grows up to 1."""
    await basics.count_primes(1_000_000, job=job)
    assert len(sink.fractions) == 8
    assert sink.fractions == sorted(sink.fractions)
    assert sink.fractions[-1] == 1
    assert sink.messages[-1] == "78498 primes below 1000001"


async def test_count_primes_lets_others_run_and_can_be_cancelled(
    job: JobContext, sink: RecordingSink
) -> None:
    """It gives way after each portion, and a cancel stops it there."""
    counting = asyncio.create_task(basics.count_primes(100_000_000, job=job))
    for portions in range(1, 4):
        await asyncio.sleep(0)
        assert len(sink.fractions) == portions
    counting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await counting
    assert len(sink.fractions) == 3
