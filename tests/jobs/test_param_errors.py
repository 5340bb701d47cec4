import json
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, HttpUrl, SecretStr, ValidationError

from app.jobs.errors import InvalidParams, ParamError
from app.jobs.param_errors import param_errors
from app.jobs.signature import params_of


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


async def keep(
    pet: Annotated[Cat | Dog, Field(discriminator="kind")],
    food: int | list[int] = 1,
    prices: dict[int, float] = {},  # noqa: B006, never changed
    secret: Annotated[SecretStr, Field(max_length=3)] = SecretStr(""),  # noqa: B008, as above
    home: HttpUrl | None = None,
) -> None:
    """Keeps a pet."""


CAT = {"kind": "cat", "lives": 9}


def _errors(sent: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidParams) as refused:
        params_of(keep).parse(json.dumps(sent).encode())
    return [(error.pointer, error.code) for error in refused.value.errors]


@pytest.mark.parametrize(
    ("sent", "errors"),
    [
        ({}, [("/params/pet", "missing")]),
        ([], [("/params", "model_type")]),
        ({"pet": CAT, "more": 1}, [("/params/more", "extra_forbidden")]),
        ({"pet": CAT, "a/b~c": 1}, [("/params/a~1b~0c", "extra_forbidden")]),
        ({"pet": CAT, "": 1}, [("/params/", "extra_forbidden")]),
        ({"pet": {"kind": "cow"}}, [("/params/pet", "union_tag_invalid")]),
        ({"pet": {"kind": "dog"}}, [("/params/pet/name", "missing")]),
        ({"pet": CAT | {"lives": "x"}}, [("/params/pet/lives", "int_type")]),
        (
            {"pet": CAT, "food": [1, "x"]},
            [("/params/food", "int_type"), ("/params/food/1", "int_type")],
        ),
        (
            {"pet": CAT, "food": None},
            [("/params/food", "int_type"), ("/params/food", "list_type")],
        ),
        (
            {"pet": CAT, "prices": {"x": 1, "2": "y"}},
            [("/params/prices/x", "int_parsing"), ("/params/prices/2", "float_type")],
        ),
        ({"pet": CAT, "home": "x"}, [("/params/home", "url_parsing")]),
    ],
)
def test_pointers_lead_into_what_was_sent(sent: object, errors: list[tuple[str, str]]) -> None:
    """A JSON pointer names the value, its key or its missing member, and nothing of pydantic's."""
    assert _errors(sent) == errors


def _follow(pointer: str, value: Any) -> Any:
    """What a JSON pointer leads to (RFC 6901)."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value[int(key) if isinstance(value, list) else key]
    return value


keys = st.text(st.sampled_from("a/~0"), max_size=4)
broken = st.recursive(
    st.just("no number"),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(keys, children, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40)
@given(sent=st.dictionaries(keys, broken, min_size=1))
def test_every_pointer_leads_somewhere(sent: dict[str, Any]) -> None:
    """Whatever the keys are and however unions are nested, a pointer finds a value."""

    class Box(BaseModel):
        inner: dict[str, int | list[int] | dict[str, int]]

    async def take(box: Box) -> None: ...

    params = {"box": {"inner": sent}}
    try:
        params_of(take).parse(json.dumps(params).encode())
    except InvalidParams as invalid:
        for error in invalid.errors:
            _follow(error.pointer.removeprefix("/params"), params)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b'{"pet":}', b"[" * 100_000])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    """Also stored params that were tampered with end as an error of the job."""
    with pytest.raises(InvalidParams, match=r"/params: .*JSON"):
        params_of(keep).parse(text)


@pytest.mark.parametrize(
    "sent",
    [
        {"pet": {"kind": "s3cret"}},
        {"pet": "s3cret", "food": "s3cret", "home": "s3cret", "secret": "s3cret"},
        {"pet": CAT | {"lives": "s3cret"}, "prices": {"1": "s3cret"}},
    ],
)
def test_no_message_repeats_a_value(sent: object) -> None:
    """A secret in the wrong place goes nowhere: not into an answer, not into a job's error."""
    with pytest.raises(InvalidParams) as refused:
        params_of(keep).parse(json.dumps(sent).encode())
    assert "s3cret" not in str(refused.value)


def test_a_wrong_kind_is_told_which_there_are() -> None:
    """In place of the kind that was sent stand those that can be."""
    with pytest.raises(InvalidParams, match="'kind' should be one of 'cat', 'dog'"):
        params_of(keep).parse(b'{"pet":{"kind":"cow"}}')


def test_a_flood_of_errors_is_cut() -> None:
    """The first fifty are told, then how many more there are."""

    async def add(numbers: list[int]) -> None: ...

    with pytest.raises(InvalidParams) as refused:
        params_of(add).parse(json.dumps({"numbers": ["x"] * 1_000}).encode())
    *told, last = refused.value.errors
    assert [error.pointer for error in told] == [f"/params/numbers/{n}" for n in range(50)]
    assert last == ParamError("/params", "and 950 more errors", "too_many_errors")


def test_a_long_name_is_cut() -> None:
    """A pointer is no longer than a message, whatever was sent."""
    [(pointer, _)] = _errors({"pet": CAT, "x" * 100_000: 1})
    assert len(pointer) == 2_000


def test_without_what_was_sent_pointers_have_every_part() -> None:
    """A model without unions needs no more than its errors."""
    with pytest.raises(ValidationError) as refused:
        Cat.model_validate({"kind": "cat", "lives": []})
    errors = param_errors(refused.value, "/pet")
    assert [error.pointer for error in errors] == ["/pet/lives"]
