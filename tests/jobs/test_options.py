import asyncio
import functools
import math
from typing import Any

import pytest

from app.jobs import task
from app.jobs.options import TaskOptions, options_of


async def work() -> None:
    """Works."""


def test_a_marked_function_is_the_function_itself() -> None:
    """`@task` marks and returns it: it can be called as before, and nothing is registered."""

    async def double(number: int) -> int:
        return 2 * number

    marked = task(double)
    assert marked is double
    assert asyncio.run(marked(4)) == 8
    assert options_of(marked) == TaskOptions()


def test_options_are_given_by_keyword() -> None:
    """Each option of the decorator is the option of the task."""

    async def double(number: int) -> int:
        return 2 * number

    options: dict[str, Any] = {
        "name": "times-2",
        "timeout": 1.5,
        "retries": 3,
        "retry_on": (OSError, ValueError),
        "backoff": lambda attempt: 2.0 * attempt,
        "max_running": 1,
        "priority": -1,
        "example": {"number": 4},
        "sensitive": ("number",),
    }
    assert options_of(task(**options)(double)) == TaskOptions(**options)


def test_without_retries_a_task_never_runs_twice() -> None:
    """By default there is one attempt, no limit of time or number, and priority 0."""
    options = TaskOptions()
    assert (options.retries, options.timeout, options.max_running) == (0, None, None)
    assert (options.priority, options.retry_on, options.backoff) == (0, Exception, 1)


@pytest.mark.parametrize("candidate", [work, None, 3, "task", object(), {"__awaitd_task__": 1}])
def test_what_is_not_marked_has_no_options(candidate: object) -> None:
    """Anything may stand in a module of tasks."""
    assert options_of(candidate) is None


def test_looking_for_the_mark_wakes_nothing() -> None:
    """A lazy object in a module of tasks is left asleep."""

    class Lazy:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("not ready")

    assert options_of(Lazy()) is None


def test_the_mark_passes_to_a_wrapper() -> None:
    """A decorator above `@task` that uses `functools.wraps` makes the wrapper the task."""
    marked = task(name="marked")(work)

    @functools.wraps(marked)
    async def wrapper() -> None:
        await marked()

    assert options_of(wrapper) == TaskOptions(name="marked")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("name", ""),
        ("name", "two words"),
        ("name", "größe"),
        ("name", "new\n"),
        ("name", "x" * 65),
        ("name", 3),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", math.nan),
        ("timeout", math.inf),
        ("timeout", "60"),
        ("retries", -1),
        ("retries", 1.5),
        ("retries", 1 << 31),
        ("retries", None),
        ("retry_on", BaseException),
        ("retry_on", asyncio.CancelledError),
        ("retry_on", [OSError]),
        ("retry_on", (OSError, "ValueError")),
        ("retry_on", OSError()),
        ("backoff", -0.1),
        ("backoff", math.nan),
        ("backoff", math.inf),
        ("backoff", "1"),
        ("backoff", None),
        ("backoff", work),
        ("max_running", 0),
        ("max_running", 1.5),
        ("priority", 1 << 31),
        ("priority", -(1 << 31) - 1),
        ("priority", 0.5),
        ("priority", None),
        ("example", [1]),
        ("example", "{}"),
        ("sensitive", "password"),
        ("sensitive", (1,)),
        ("sensitive", 5),
    ],
)
def test_an_option_out_of_range_is_refused(option: str, value: Any) -> None:
    """The message says which option, what it takes and what it got."""
    with pytest.raises(ValueError, match=f"^{option} is .*, not ") as refused:
        task(**{option: value})(work)
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("name", "a.B-c_9"),
        ("name", "x" * 64),
        ("timeout", 0.001),
        ("retries", 0),
        ("retry_on", ()),
        ("backoff", 0),
        ("max_running", 1),
        ("priority", (1 << 31) - 1),
        ("priority", -(1 << 31)),
        ("example", {}),
        ("sensitive", []),
    ],
)
def test_an_option_at_the_edge_of_its_range_is_taken(option: str, value: Any) -> None:
    """The bounds are part of the range."""
    assert getattr(TaskOptions(**{option: value}), option) == value


@pytest.mark.parametrize("not_a_function", ["name", 60, type("Work", (), {})])
def test_an_option_without_its_name_is_refused(not_a_function: Any) -> None:
    """`@task("name")` and `@task` above a class say what to write instead."""
    with pytest.raises(TypeError, match="options go by keyword"):
        task(not_a_function)


def test_an_option_there_is_not_is_refused() -> None:
    """A misspelt option is not silently without effect."""
    with pytest.raises(TypeError, match="retires"):
        task(retires=3)(work)  # type: ignore[call-overload]
