import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from types import MappingProxyType, ModuleType
from typing import Any

import pytest

from app.jobs import JobContext, task
from app.jobs.errors import InvalidParams, UnknownTask
from app.jobs.options import TaskOptions
from app.jobs.registry import RegistryError, Task, TaskRegistry, task_from
from tests.jobs.attempts import JOB, Notebook


def _module(*members: object) -> ModuleType:
    module = ModuleType("tasks")
    for number, member in enumerate(members):
        setattr(module, f"member_{number}", member)
    return module


def _line_of(function: Callable[..., object]) -> int:
    return inspect.getsourcelines(function)[1]


def test_marked_functions_of_a_module_are_its_tasks() -> None:
    """An unmarked coroutine function is none; a task found twice counts once."""

    @task
    async def first() -> None: ...

    @task(name="2nd")
    async def second() -> None: ...

    async def unmarked() -> None: ...

    registry = TaskRegistry.from_modules([_module(first, unmarked, second), _module(3, first)])
    assert [found.name for found in registry] == ["first", "2nd"]
    assert len(registry) == 2
    assert registry["2nd"].function is second
    assert registry.get("unmarked") is None


def test_two_registries_share_nothing() -> None:
    """There is no global registry: each has what its modules have."""

    @task
    async def work() -> None: ...

    assert len(TaskRegistry.from_modules([_module(work)])) == 1
    assert len(TaskRegistry()) == 0


def test_an_unknown_name_finds_names_that_are_close() -> None:
    """At most three, and none for a name unlike any other, however long."""

    @task
    async def resize_image() -> None: ...

    registry = TaskRegistry.from_modules([_module(resize_image)])
    with pytest.raises(UnknownTask) as unknown:
        registry["resise_image"]
    assert unknown.value.close == ("resize_image",)
    with pytest.raises(UnknownTask) as unknown:
        registry["resize_image" * 100_000]
    assert unknown.value.close == ()


def test_a_name_taken_twice_is_refused_with_both_places() -> None:
    """The message has file and line of each, and says what to do."""

    @task
    async def work() -> None: ...

    @task(name="work")
    async def other() -> None: ...

    with pytest.raises(RegistryError, match="another name") as refused:
        TaskRegistry.from_modules([_module(work), _module(other)])
    assert str(refused.value).startswith(f"{__file__}:{_line_of(other)}: task 'work'")
    assert f"{__file__}:{_line_of(work)}" in str(refused.value)
    assert (refused.value.file, refused.value.line) == (__file__, _line_of(other))


async def _generator() -> AsyncIterator[int]:
    yield 1


def _plain() -> None: ...


async def _größe() -> None: ...


async def _untyped(value) -> None: ...  # type: ignore[no-untyped-def]


async def _returns_a_lock() -> asyncio.Lock:
    return asyncio.Lock()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_generator, "async generator"),
        (_plain, "async def"),
        (_größe, "name is"),
        (_untyped, "'value' has no type annotation"),
        (_returns_a_lock, "no JSON can be made of what it returns"),
    ],
)
def test_what_cannot_be_a_task_is_refused_with_its_place(
    function: Callable[..., Any], reason: str
) -> None:
    """The message begins with file and line, as editors know them, then names the task."""
    with pytest.raises(RegistryError, match=reason) as refused:
        TaskRegistry.from_modules([_module(task(function))])
    place = f"{__file__}:{_line_of(function)}: task {function.__name__!r}: "
    assert str(refused.value).startswith(place)


def test_a_name_of_its_own_makes_any_function_name_good() -> None:
    """Only the name over HTTP has to be plain ASCII."""
    assert task_from(_größe, TaskOptions(name="size")).name == "size"


def test_the_place_of_a_wrapped_function_is_its_own() -> None:
    """A decorator does not hide where a task is written."""

    @functools.wraps(_größe)
    async def wrapper() -> None: ...

    with pytest.raises(RegistryError) as refused:
        task_from(wrapper, TaskOptions())
    assert refused.value.line == _line_of(_größe)


def test_a_task_without_a_place_is_refused_too() -> None:
    """An object that took over the mark of a function is no coroutine function."""

    class Wrapper:
        def __call__(self) -> None: ...

    wrapper = Wrapper()
    vars(wrapper).update(vars(task(_größe)))
    with pytest.raises(RegistryError, match="<unknown>:0"):
        TaskRegistry.from_modules([_module(wrapper)])


async def resize(width: int, *, job: JobContext) -> int:
    """Resizes a picture.

    To the width that is given.
    """
    return width * job.attempt


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        ({}, "/params/width: Field required"),
        ({"width": "wide"}, "/params/width"),
        ({"width": 1, "height": 2}, "/params/height"),
        ({"width": 1, "job": {}}, "/params/job"),
        ({"width": float("nan")}, "no JSON"),
        ({"width": {1, 2}}, "no JSON"),
        ({"width": "\ud800"}, "no JSON"),
    ],
)
def test_an_example_that_does_not_fit_is_refused(example: dict[str, Any], reason: str) -> None:
    """What the documentation shows can be submitted."""
    with pytest.raises(RegistryError, match="example") as refused:
        task_from(resize, TaskOptions(example=example))
    assert reason in str(refused.value)


def test_an_example_may_be_any_mapping() -> None:
    """Not only a dict has names and values."""
    example = MappingProxyType({"width": 3})
    assert task_from(resize, TaskOptions(example=example)).options.example == {"width": 3}


def test_the_docstring_is_the_documentation() -> None:
    """Dedented, with its first line as the summary."""
    found = task_from(resize, TaskOptions(retries=3))
    assert found.doc == "Resizes a picture.\n\nTo the width that is given."
    assert found.summary == "Resizes a picture."
    assert found.max_attempts == 4


def test_a_task_may_be_undocumented() -> None:
    """Without a docstring both texts are empty."""
    found = task_from(_größe, TaskOptions(name="size"))
    assert (found.doc, found.summary) == ("", "")


def test_params_and_context_are_the_arguments() -> None:
    """Called with them, the function runs."""
    found = task_from(resize, TaskOptions())
    arguments = found.params.parse(b'{"width":3}')
    assert arguments == {"width": 3}
    assert found.params.context_name == "job"
    context = JobContext(JOB.id, 2, {}, Notebook())
    assert asyncio.run(found.function(**arguments, job=context)) == 6


def test_params_are_checked() -> None:
    """Params that do not fit raise `InvalidParams`."""
    with pytest.raises(InvalidParams, match="/params/width"):
        task_from(resize, TaskOptions()).params.parse(b'{"width":"x"}')


def test_a_method_of_an_object_may_be_a_task() -> None:
    """Bound methods that a module names are coroutine functions like others."""

    class Shop:
        tax = 2

        @task
        async def price(self, net: int) -> int:
            return net * self.tax

    found = TaskRegistry.from_modules([_module(Shop().price)])["price"]
    assert found.params.parse(b'{"net":3}') == {"net": 3}
    assert asyncio.run(found.function(net=3)) == 6


def test_a_task_is_a_record() -> None:
    """Everything about it is known at start-up and stays."""
    found: Task = task_from(resize, TaskOptions())
    function: Callable[..., Coroutine[Any, Any, Any]] = found.function
    with pytest.raises(AttributeError):
        found.function = function  # type: ignore[misc]
