import functools
from collections.abc import Callable
from typing import Annotated, Any, Optional

import pytest
from pydantic import BaseModel, Field

from app.jobs import JobContext
from app.jobs.errors import InvalidParams
from app.jobs.signature import BadSignature, params_of


class Point(BaseModel):
    x: int


async def first(job: JobContext, value: int) -> None:
    """Takes the context first."""


async def last(value: int, *, job: "JobContext") -> None:
    """Takes the context by name alone."""


async def optional(value: int, job: JobContext | None = None) -> None:
    """Can be called without a job."""


async def optional_too(value: int, job: Optional[JobContext] = None) -> None:  # noqa: UP045
    """The same, spelt as of old."""


async def annotated(value: int, job: Annotated[JobContext, "mine"]) -> None:
    """Says more about its context."""


@pytest.mark.parametrize("function", [first, last, optional, optional_too, annotated])
def test_the_context_may_stand_anywhere(function: Callable[..., Any]) -> None:
    """It is found by its type, is not in the schema, and cannot be sent."""
    params = params_of(function)
    assert params.context_name == "job"
    assert list(params.schema()["properties"]) == ["value"]
    assert params.parse(b'{"value":1}') == {"value": 1}
    with pytest.raises(InvalidParams, match="/params/job"):
        params.parse(b'{"value":1,"job":null}')


def test_a_task_need_not_ask_for_its_context() -> None:
    """Without a parameter of that type there is none."""

    async def nothing() -> None: ...

    assert params_of(nothing).context_name is None
    assert params_of(nothing).parse(b"{}") == {}


def test_a_decorated_function_keeps_its_signature() -> None:
    """A wrapper that takes anything has the parameters of what it wraps."""

    async def wrapped(point: Point, count: int = 1) -> None: ...

    @functools.wraps(wrapped)
    async def wrapper(*args: Any, **kwargs: Any) -> None: ...

    assert params_of(wrapper).parse(b'{"point":{"x":1}}') == {"point": Point(x=1), "count": 1}


async def with_session(value: int, session: str) -> None:
    """Gets its session from a decorator."""


@functools.wraps(with_session)
async def wrapper_with_session(value: int) -> None:
    """Takes less than it shows."""
    await with_session(value, "session")


async def untyped(value) -> None:  # type: ignore[no-untyped-def]
    """Leaves open what it takes."""


async def positional(value: int, /) -> None:
    """Takes a value by position alone."""


async def anything(*values: int) -> None:
    """Takes any number of values."""


async def any_names(**values: int) -> None:
    """Takes values by any name."""


async def a_field(value: int = Field(3)) -> None:
    """Writes a Field where its default stands."""


async def an_alias(value: Annotated[int, Field(alias="from")]) -> None:
    """Would like another name."""


async def two_contexts(job: JobContext, same: JobContext) -> None:
    """Takes the context twice."""


async def many_contexts(jobs: list[JobContext]) -> None:
    """Takes what nobody has."""


async def a_callable(value: Callable[[], int]) -> None:
    """Takes what no JSON can be."""


async def a_type_unknown(value: "Unknown") -> None:  # type: ignore[name-defined] # noqa: F821
    """Names what is not there."""


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (untyped, "'value' has no type annotation"),
        (positional, "cannot be given by name"),
        (anything, r"\*values: int cannot be given by name"),
        (any_names, r"\*\*values: int cannot be given by name"),
        (a_field, "has a Field as its default"),
        (an_alias, "'value' has an alias"),
        (two_contexts, "both 'job' and 'same'"),
        (many_contexts, "no model of its parameters"),
        (a_callable, "no model of its parameters"),
        (a_type_unknown, "annotations cannot be read: name 'Unknown' is not defined"),
        (wrapper_with_session, "its decorator changes its parameters: .*'session'"),
    ],
)
def test_a_signature_that_no_params_fit_is_refused(
    function: Callable[..., Any], reason: str
) -> None:
    """The reason is one line and says which parameter."""
    with pytest.raises(BadSignature, match=reason) as refused:
        params_of(function)
    assert "\n" not in str(refused.value)
