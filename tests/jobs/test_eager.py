import itertools
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, ConfigDict

from app.jobs.eager import holds_iterator


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")
    value: Any = None


@dataclass
class Record:
    value: Any = None


@dataclass(slots=True)
class Slotted:
    value: Any = None


class Pair(NamedTuple):
    value: Any = None


class OwnList(list[Any]):
    """Would run for ever if it were walked through."""

    def __iter__(self) -> Iterator[int]:
        return itertools.count()


class OwnSet(set[Any]):
    """Runs for ever when it is walked through."""

    def __iter__(self) -> Iterator[int]:
        return itertools.count()


class OwnIterator:
    """An iterator by nothing but its step."""

    def __next__(self) -> int:
        return 1


def _circle() -> list[Any]:
    circle: list[Any] = [{}, Model()]
    circle[0]["back"] = circle
    circle[1].value = circle
    return circle


HOLDERS = [
    lambda value: value,
    lambda value: [1, value],
    lambda value: (value,),
    lambda value: {"a": value},
    lambda value: OrderedDict(a=value),
    lambda value: {"a": [{"b": (value,)}]},
    lambda value: deque([value]),
    lambda value: {value},
    lambda value: frozenset([value]),
    lambda value: Model(value=value),
    lambda value: Model.model_validate({"more": value}),
    lambda value: Model.model_construct(value=[value]),
    Record,
    Slotted,
    Pair,
    lambda value: [*_circle(), value],
]


@pytest.mark.parametrize("hold", HOLDERS)
@pytest.mark.parametrize(
    "iterator",
    [itertools.count(), (number for number in [1]), map(str, [1]), reversed([1]), OwnIterator()],
    ids=lambda iterator: type(iterator).__name__,
)
def test_an_iterator_is_found_wherever_it_stands(hold: Any, iterator: object) -> None:
    """It is found and not run."""
    assert holds_iterator(hold(iterator))


@pytest.mark.parametrize("hold", HOLDERS)
@pytest.mark.parametrize("value", [1, "text", range(3), b"", 1.5, None, object, "Iterator"])
def test_what_is_all_there_holds_none(hold: Any, value: Any) -> None:
    """Neither do ranges, classes and circles."""
    assert not holds_iterator(hold(value))


def test_a_list_of_ones_own_is_looked_into_as_a_list() -> None:
    """What it says of itself is not asked."""
    assert not holds_iterator(OwnList([1]))
    assert holds_iterator(OwnList([iter([1])]))


def test_a_set_of_ones_own_is_an_iterator() -> None:
    """JSON is made of it by its own steps, which may never end."""
    assert holds_iterator([OwnSet([1])])


def test_depth_is_no_matter() -> None:
    """It looks as deep as it takes."""
    value: Any = iter([1])
    for _ in range(100_000):
        value = [value]
    assert holds_iterator(value)
