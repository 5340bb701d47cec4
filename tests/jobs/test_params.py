import dataclasses
import json
import math
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, Optional
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, HttpUrl, JsonValue, SecretStr
from typing_extensions import TypedDict

from app.jobs import JobContext
from app.jobs.errors import InvalidParams
from app.jobs.signature import params_of


class Colour(Enum):
    RED = "red"


class Point(BaseModel):
    x: int
    y: int = 0


class Size(TypedDict):
    width: int


class Pair(NamedTuple):
    first: int
    second: str


@dataclasses.dataclass
class Crop:
    left: int
    top: int = 0


def _parse(annotation: Any, value: object) -> Any:
    """What a parameter of this type gets for a JSON value."""

    async def function(value: annotation) -> None: ...

    return params_of(function).parse(json.dumps({"value": value}).encode())["value"]


@pytest.mark.parametrize(
    ("annotation", "sent", "value"),
    [
        (int, 3, 3),
        (int, 3.0, 3),
        (bool, True, True),
        (str, "é", "é"),
        (Any, {"a": [None]}, {"a": [None]}),
        (JsonValue, [1, "a"], [1, "a"]),
        (Optional[int], None, None),  # noqa: UP045, the older spelling works too
        (int | str, "x", "x"),
        (int | list[int], 3.0, 3),
        (list[int | float], [1.0, 0.5], [1, 0.5]),
        (list[int], [1, 2], [1, 2]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1, 1], {1}),
        (dict[int, float], {"1": 0.5}, {1: 0.5}),
        (Literal["a", 1], "a", "a"),
        (Annotated[int, Field(gt=0)], 1, 1),
        (Colour, "red", Colour.RED),
        (datetime, "2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        (timedelta, "PT90S", timedelta(seconds=90)),
        (UUID, str(UUID(int=7)), UUID(int=7)),
        (HttpUrl, "https://example.org", HttpUrl("https://example.org/")),
        (SecretStr, "s3cret", SecretStr("s3cret")),
        (Point, {"x": 1}, Point(x=1)),
        (list[Point], [{"x": 1, "y": 2}], [Point(x=1, y=2)]),
        (Crop, {"left": 1}, Crop(1)),
        (Size, {"width": 1}, {"width": 1}),
        (Pair, [1, "a"], Pair(1, "a")),
        ("Point", {"x": 1}, Point(x=1)),
        ("list[Colour]", ["red"], [Colour.RED]),
    ],
)
def test_a_parameter_gets_a_value_of_its_type(annotation: Any, sent: object, value: object) -> None:
    """Whatever pydantic makes of JSON may be a parameter, and annotations may be strings."""
    assert _parse(annotation, sent) == value


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", '"NaN"', '"-inf"'])
def test_a_number_is_finite(text: str) -> None:
    """JSON has neither NaN nor infinity, and a text that says so is no number either."""

    async def wait(seconds: list[float]) -> None: ...

    expected = r"/params/seconds/0: Input should be a (finite|valid) number"
    with pytest.raises(InvalidParams, match=expected):
        params_of(wait).parse(b'{"seconds":[%s]}' % text.encode())


@pytest.mark.parametrize(
    ("annotation", "sent"),
    [
        (int, "3"),
        (int, True),
        (int, 3.5),
        (list[int], [3.0, 3.5]),
        (int | None, "3"),
        (float, "0.5"),
        (float, False),
        (bool, 1),
        (bool, "yes"),
        (str, 3),
        (timedelta, 90),
        (Point, {"x": "1"}),
        (Crop, {"left": True}),
    ],
)
def test_nothing_is_made_of_another_type(annotation: Any, sent: object) -> None:
    """What the schema does not allow is refused, however well it could be converted."""
    with pytest.raises(InvalidParams):
        _parse(annotation, sent)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=40)
@given(value=values)
def test_any_json_comes_through_as_it_is(value: object) -> None:
    """A parameter of type Any or JsonValue gets the value that was sent."""

    async def echo(plain: Any, checked: JsonValue) -> None: ...

    params = json.dumps({"plain": value, "checked": value}).encode()
    assert params_of(echo).parse(params) == {"plain": value, "checked": value}


async def awkward(
    self: int,
    json: int,
    copy: int,
    model_config: int,
    model_fields: int,
    schema: int,
    name: int,
    priority: int,
    param_0: int,
    _private: int,
    __dunder__: int,
) -> None:
    """Has parameters that mean something to pydantic, to the scheduler or to Python."""


def test_a_parameter_may_have_any_name() -> None:
    """Names that a model or a call has a use for are names like others."""
    names = list(awkward.__annotations__)[:-1]
    params = params_of(awkward)
    sent = {name: number for number, name in enumerate(names)}
    assert params.parse(json.dumps(sent).encode()) == sent
    assert list(params.schema()["properties"]) == names
    assert params.schema()["required"] == names


UNSET = object()


async def lazy(
    plain: int = 3,
    *,
    wrong: int = "unchecked",  # type: ignore[assignment]
    nothing: int | None = None,
    listed: list[int] = [],  # noqa: B006, the point of the test
    secret: SecretStr = SecretStr("s3cret"),  # noqa: B008, as above
    sentinel: Any = UNSET,
    endless: float = math.inf,
    annotated: Annotated[int, Field(default=7)],
    made: Annotated[list[int], Field(default_factory=lambda: [1])],
) -> None:
    """Has defaults of every kind."""


def test_what_is_not_sent_has_its_default() -> None:
    """Defaults are taken as they stand, unchecked; a sentinel stays the same object."""
    arguments = params_of(lazy).parse(b"{}")
    assert arguments == {
        "plain": 3,
        "wrong": "unchecked",
        "nothing": None,
        "listed": [],
        "secret": SecretStr("s3cret"),
        "sentinel": UNSET,
        "endless": math.inf,
        "annotated": 7,
        "made": [1],
    }
    assert arguments["sentinel"] is UNSET


def test_no_job_sees_what_another_did_to_a_default() -> None:
    """A list or dict that is a default is a new one for each attempt."""
    params = params_of(lazy)
    params.parse(b"{}")["listed"].append("left behind")
    assert params.parse(b"{}")["listed"] == []


def test_the_schema_shows_defaults_that_are_json() -> None:
    """Secrets are hidden; what is no JSON is left out, without a warning."""
    properties = params_of(lazy).schema()["properties"]
    shown = {name: part["default"] for name, part in properties.items() if "default" in part}
    assert shown == {
        "plain": 3,
        "wrong": "unchecked",
        "nothing": None,
        "listed": [],
        "secret": "**********",
        "annotated": 7,
    }
    assert "required" not in params_of(lazy).schema()


def test_the_schema_is_that_of_the_signature() -> None:
    """Types, bounds, descriptions and models are shown; more fields are refused."""

    async def draw(
        at: Annotated[Point, Field(description="Where.")],
        size: Annotated[int, Field(gt=0)] = 1,
        *,
        job: JobContext,
    ) -> None: ...

    schema = params_of(draw).schema()
    assert schema["title"] == "draw params"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["at"]
    assert list(schema["properties"]) == ["at", "size"]
    assert schema["properties"]["at"]["description"] == "Where."
    assert schema["properties"]["size"]["exclusiveMinimum"] == 0
    assert list(schema["$defs"]) == ["Point"]


def test_a_deprecated_parameter_can_be_sent() -> None:
    """That its callers should know is said in the schema, not in a warning of ours."""

    async def old(value: Annotated[int, Field(deprecated=True)] = 1) -> None: ...

    assert params_of(old).parse(b'{"value":2}') == {"value": 2}
    assert params_of(old).schema()["properties"]["value"]["deprecated"] is True


async def checked(value: Annotated[int, AfterValidator(lambda value: 1 // value)]) -> None:
    """Has a validator that may raise anything."""


def test_a_validator_may_raise_anything() -> None:
    """Then the params are invalid, and its class says why; the service goes on."""
    with pytest.raises(InvalidParams) as refused:
        params_of(checked).parse(b'{"value":0}')
    [error] = refused.value.errors
    assert (error.pointer, error.code) == ("/params", "validator_failed")
    assert "ZeroDivisionError" in error.detail
