import asyncio
import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Generic, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, JsonValue, PlainSerializer
from typing_extensions import TypedDict

from app.jobs.signature import BadResult, BadSignature, Result, result_of

T = TypeVar("T")


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Whole(int):
    """A subclass of int."""


class Size(TypedDict):
    width: int


class Point(BaseModel):
    x: float
    label: Annotated[str, Field(serialization_alias="name")] = ""


class Place(Point):
    country: str = "ch"


@dataclasses.dataclass
class Crop:
    left: float


class Lazy(BaseModel):
    model_config = ConfigDict(defer_build=True)
    inner: Any


class Tree(BaseModel):
    value: Any = None
    children: list["Tree"] = []


class Report(BaseModel, Generic[T]):
    items: list[T]


def _result(annotation: Any) -> Result:
    async def function() -> annotation: ...

    return result_of(function)


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (None, None, "null"),
        (Any, None, "null"),
        (Annotated[None, PlainSerializer(str)], None, '"None"'),
        (int, 3, "3"),
        (int, Whole(3), "3"),
        (int, Level.HIGH, "3"),
        (float, 3, "3.0"),
        (str, "é", '"é"'),
        (list[int], [1], "[1]"),
        (tuple[int, str], (1, "a"), '[1,"a"]'),
        (set[int], {1}, "[1]"),
        (dict[str, int], {"a": 1}, '{"a":1}'),
        (int | str, "a", '"a"'),
        (Colour, Colour.RED, '"red"'),
        (datetime, datetime(2026, 11, 22, tzinfo=UTC), '"2026-11-22T00:00:00Z"'),
        (Decimal, Decimal("1.50"), '"1.50"'),
        (HttpUrl, HttpUrl("https://example.org"), '"https://example.org/"'),
        (Size, {"width": 1}, '{"width":1}'),
        (Crop, Crop(1.5), '{"left":1.5}'),
        (Point, Point(x=1, label="here"), '{"x":1.0,"name":"here"}'),
        (Point, Place(x=1), '{"x":1.0,"name":""}'),
        (list[Point], [Point(x=1)], '[{"x":1.0,"name":""}]'),
        (Lazy, Lazy(inner=1), '{"inner":1}'),
        (Tree, Tree(children=[Tree()]), '{"value":null,"children":[{"value":null,"children":[]}]}'),
        (Report[int], Report[int](items=[1]), '{"items":[1]}'),
        ("Point", Point(x=1), '{"x":1.0,"name":""}'),
        (Any, {"at": datetime(2026, 11, 22, tzinfo=UTC)}, '{"at":"2026-11-22T00:00:00Z"}'),
        (Any, [Point(x=1), Crop(2), Colour.RED, {3}], '[{"x":1.0,"name":""},{"left":2},"red",[3]]'),
        (JsonValue, {"a": [1, None]}, '{"a":[1,null]}'),
    ],
)
def test_a_result_is_written_by_its_declared_type(annotation: Any, value: Any, text: str) -> None:
    """Fields have the names of the schema; what a subclass adds is left out."""
    assert _result(annotation).encode(value) == text.encode()


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (None, 0),
        (int, "5"),
        (int, True),
        (int, 5.0),
        (int, None),
        (float, "5"),
        (bool, 1),
        (str, b"a"),
        (str, 5),
        (list[int], [1, "2"]),
        (list[int], (1,)),
        (list[int], range(3)),
        (tuple[int, str], [1, "a"]),
        (dict[str, int], {1: 1}),
        (int | str, 1.5),
        (Colour, "red"),
        (datetime, "2026-11-22T00:00:00Z"),
        (Size, {"width": "1"}),
        (Size, {}),
        (Crop, {"left": 1}),
        (Point, {"x": "1"}),
        (Point, Crop(1)),
        (Report[int], Report[Any](items=["a"])),
        (JsonValue, {1: 1}),
    ],
)
def test_a_result_of_another_type_is_refused(annotation: Any, value: Any) -> None:
    """Nothing is converted: `"5"` is no int, True is no number, a list is no tuple."""
    with pytest.raises(BadResult, match=r"^the result is not of the declared type: "):
        _result(annotation).encode(value)


def test_the_message_says_where_the_result_is_wrong() -> None:
    """A pointer and a reason, but not the value."""
    with pytest.raises(BadResult) as refused:
        _result(list[dict[str, int]]).encode([{"a": 1}, {"b": "s3cret"}])
    reason = "/1/b: Input should be a valid integer"
    assert str(refused.value) == f"the result is not of the declared type: {reason}"


def _circular() -> Any:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _deep() -> Any:
    value: Any = None
    for _ in range(100_000):
        value = [value]
    return value


def _numbers() -> Iterator[int]:
    yield 1
    raise RuntimeError("no more numbers today")


@pytest.mark.parametrize(
    "value",
    [
        object(),
        math.nan,
        [math.inf],
        {"a": {"b": -math.inf}},
        "\ud800",
        {"\udfff": 1},
        b"\xff",
        _circular(),
        _deep(),
        _numbers(),
        10**5_000,
        Tree(value=math.nan),
        Point.model_construct(x="wrong"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_json_is_refused(value: Any) -> None:
    """Also inside of Any: NaN does not become null, and nothing stops the service."""
    annotation = type(value) if isinstance(value, BaseModel) else Any
    with pytest.raises(BadResult, match=r"^the result is no JSON value"):
        _result(annotation).encode(value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (float, math.nan),
        (list[float], [math.inf]),
        (Point, Point(x=math.nan)),
        (Crop, Crop(math.nan)),
        (Lazy, Lazy(inner=[math.nan])),
        (Tree, Tree(children=[Tree(value=math.inf)])),
        (dict[str, Any], {"a": math.nan}),
        (JsonValue, math.nan),
    ],
)
def test_nan_is_no_json_wherever_it_stands(annotation: Any, value: Any) -> None:
    """A number that JSON does not have fails the job, rather than vanish."""
    with pytest.raises(BadResult, match="no JSON value"):
        _result(annotation).encode(value)


def _fail(value: object) -> object:
    raise LookupError(value)


def test_a_serializer_may_raise_anything() -> None:
    """Then the result is a bad one, and the message repeats nothing of what was raised."""
    with pytest.raises(BadResult) as refused:
        _result(Annotated[str, PlainSerializer(_fail)]).encode("s3cret")
    assert str(refused.value) == "the result is no JSON value (PydanticSerializationError)"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=40)
@given(value=values)
def test_any_json_comes_out_as_it_is(value: Any) -> None:
    """With nothing declared, and as a JsonValue, every JSON value is its own result."""

    async def undeclared(): ...  # type: ignore[no-untyped-def]

    assert json.loads(result_of(undeclared).encode(value)) == value
    assert json.loads(_result(JsonValue).encode(value)) == value


def test_the_schema_is_that_of_what_is_written() -> None:
    """Fields have the names that the JSON has; nothing declared is any JSON."""
    assert _result(int).schema() == {"type": "integer"}
    assert _result(None).schema() == {"type": "null"}
    assert _result(Any).schema() == {}
    assert list(_result(Point).schema()["properties"]) == ["x", "name"]
    assert "#/$defs/Tree" in str(_result(Tree).schema())


@pytest.mark.parametrize("annotation", [Callable, "Unknown", asyncio.Lock])
def test_a_type_that_no_json_can_be_is_refused(annotation: Any) -> None:
    """The reason is one line."""
    with pytest.raises(BadSignature) as refused:
        _result(annotation)
    assert "\n" not in str(refused.value)
