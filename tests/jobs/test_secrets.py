"""What is secret in params is taken out by their schema, wherever it stands."""

import json
import traceback
from contextlib import suppress
from types import GenericAlias
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Json,
    PlainValidator,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
    create_model,
)
from pydantic_core import PydanticCustomError

from app.jobs.admission import admit
from app.jobs.errors import InvalidParams
from app.jobs.models import NewJob
from app.jobs.options import TaskOptions
from app.jobs.registry import task_from
from app.jobs.secrets import MASK, gaps, merged, pointer_of
from app.jobs.signature import BadSignature, Params, params_of
from app.jobs.texts import to_json

CANARY = "canary-7f3a"


class Login(BaseModel):
    """Who somebody is."""

    user: str
    password: SecretStr


class Other(BaseModel):
    """Somebody else."""

    user: str
    mail: str = ""


class Aliased(BaseModel):
    """A secret by many names."""

    model_config = ConfigDict(populate_by_name=True)

    password: Annotated[SecretStr, Field(validation_alias=AliasChoices("pass", "word"))]
    user: Annotated[str, Field(alias="User")] = ""


class Pair(NamedTuple):
    """A name and what nobody is told."""

    user: str
    password: SecretStr


class Tree(BaseModel):
    """Secrets at any depth."""

    key: SecretStr | None = None
    kids: list["Tree"] = []
    by_name: dict[str, "Tree"] = {}


class ByKey(BaseModel):
    """One way to come in."""

    kind: Literal["key"]
    value: SecretStr


class ByName(BaseModel):
    """Another one."""

    kind: Literal["name"]
    value: str


class Root(RootModel[SecretStr]):
    """A secret and nothing else."""


class Open(BaseModel):
    """Takes further members, all secret."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, SecretStr]

    user: str


class Number(Secret[int]):
    """A secret number."""


class Mine(SecretStr):
    """A secret of one's own."""


def _login_of(text: str) -> dict[str, str]:
    user, _, password = text.partition(":")
    return {"user": user, "password": password}


ByTag = Annotated[ByKey | ByName, Discriminator("kind")]


def params_with(annotation: Any, *, sensitive: bool = False) -> Params:
    """The params of a task with one parameter."""

    async def work(value: Any) -> None: ...

    work.__annotations__["value"] = annotation
    return params_of(work, ["value"] if sensitive else ())


def public_of(params: Params, value: Any) -> Any:
    """What is shown of a value; the rest is proved to make it whole again."""
    sent = to_json({"value": value})
    params.parse(sent)
    if params.secrets is None:
        return value
    public, secrets = params.secrets.split(sent)
    assert merged(public, secrets) == sent
    return json.loads(public)["value"]


SHAPES: list[tuple[Any, Any, Any]] = [
    (SecretStr, CANARY, MASK),
    (SecretBytes, CANARY, MASK),
    (Secret[int], 5, MASK),
    (Secret[dict[str, int]], {CANARY: 1}, MASK),
    (Secret[Other], {"user": CANARY}, MASK),
    (Number, 5, MASK),
    (Mine, CANARY, MASK),
    (Root, CANARY, MASK),
    (SecretStr | None, CANARY, MASK),
    (SecretStr | None, None, None),
    (Secret[int] | None, 5, MASK),
    (int | SecretStr, CANARY, MASK),
    (int | SecretStr, 5, 5),
    (list[SecretStr], [CANARY, CANARY], [MASK, MASK]),
    (set[SecretStr], [CANARY], [MASK]),
    (tuple[int, SecretStr], [5, CANARY], [5, MASK]),
    (tuple[SecretStr, ...], [CANARY], [MASK]),
    (dict[str, SecretStr], {"a": CANARY, "b": CANARY}, {"a": MASK, "b": MASK}),
    (dict[SecretStr, int], {CANARY: 5}, MASK),
    (dict[Secret[str], int], {CANARY: 5}, MASK),
    (dict[Annotated[str, StringConstraints(pattern="^a")], SecretStr], {"a": CANARY}, {"a": MASK}),
    (
        dict[Annotated[str, StringConstraints(pattern=r"^(a+)+\z")], SecretStr],
        {"a": "b"},
        {"a": MASK},
    ),
    (Login, {"user": "u", "password": CANARY}, {"user": "u", "password": MASK}),
    (list[Login], [{"user": "u", "password": CANARY}], [{"user": "u", "password": MASK}]),
    (Login | Other, {"user": "u", "password": CANARY}, {"user": "u", "password": MASK}),
    (Login | Other, {"user": "u", "mail": "m"}, {"user": "u", "mail": "m"}),
    (Login | str, "text", "text"),
    (dict[str, SecretStr] | Other, {"user": CANARY}, {"user": MASK}),
    (Aliased, {"pass": CANARY}, {"pass": MASK}),
    (Aliased, {"word": CANARY, "User": "u"}, {"word": MASK, "User": "u"}),
    (Aliased, {"password": CANARY}, {"password": MASK}),
    (Pair, ["u", CANARY], ["u", MASK]),
    (Open, {"user": "u", "more": CANARY}, {"user": "u", "more": MASK}),
    (ByTag, {"kind": "key", "value": CANARY}, {"kind": "key", "value": MASK}),
    (ByTag, {"kind": "name", "value": "v"}, {"kind": "name", "value": "v"}),
    (
        Tree,
        {"key": None, "kids": [{"key": CANARY}], "by_name": {"a/b": {"key": CANARY}}},
        {"key": None, "kids": [{"key": MASK}], "by_name": {"a/b": {"key": MASK}}},
    ),
    (Json[Login], json.dumps({"user": "u", "password": CANARY}), MASK),
    (Annotated[SecretStr, WithJsonSchema({"type": "string"})], CANARY, MASK),
    (Annotated[Secret[int], AfterValidator(lambda v: v)], 5, MASK),
    (Annotated[str, AfterValidator(SecretStr)], CANARY, MASK),
    (Annotated[SecretStr, PlainValidator(lambda v: SecretStr(v))], CANARY, MASK),
    (
        Annotated[Login, BeforeValidator(_login_of)],
        f"u:{CANARY}",
        MASK,
    ),
    (Annotated[SecretStr, BeforeValidator("".join)], [CANARY, CANARY], MASK),
    (Annotated[SecretStr, BeforeValidator(lambda v: v["a"])], {"a": CANARY}, MASK),
    (Annotated[str, Field(json_schema_extra={"writeOnly": True})], CANARY, MASK),
]


@pytest.mark.parametrize(("annotation", "value", "public"), SHAPES)
def test_secrets_are_taken_out(annotation: Any, value: Any, public: Any) -> None:
    """Whatever the annotation, what is secret is masked, the rest is shown, and both make one."""
    assert public_of(params_with(annotation), value) == public


@pytest.mark.parametrize("value", [CANARY, 5, 2.5, True, [CANARY], {"a": {CANARY: 1}}, [], {}])
def test_what_a_task_names_sensitive_is_secret(value: Any) -> None:
    """A parameter that the task marks is secret as a whole, whatever its type."""
    assert public_of(params_with(Any, sensitive=True), value) == MASK
    assert public_of(params_with(Any, sensitive=True), None) is None


@pytest.mark.parametrize("annotation", [int, str, Other, Any, list[Other] | None, dict[str, Any]])
def test_without_secrets_nothing_is_split(annotation: Any) -> None:
    """A task without secrets is known as one when it is registered."""
    assert params_with(annotation).secrets is None


@pytest.mark.parametrize(
    ("schema", "public"),
    [
        ({"anyOf": [True, {"type": "string"}]}, CANARY),
        ({"type": "object", "properties": {"a": True}, "items": False}, {"a": CANARY}),
        ({"anyOf": [True, {"properties": {"a": True, "b": {"writeOnly": True}}}]}, {"a": CANARY}),
        ({"oneOf": [{"type": "string", "writeOnly": True}], "discriminator": {}}, MASK),
        (
            {
                "oneOf": [{"type": "object", "properties": {"a": {"writeOnly": True}}}],
                "discriminator": {"propertyName": "a", "mapping": {CANARY: "#/nowhere"}},
            },
            {"a": MASK},
        ),
    ],
)
def test_any_schema_is_read(schema: dict[str, Any], public: Any) -> None:
    """A schema of the task's own may be anything that JSON Schema allows."""
    params = params_with(Annotated[Any, WithJsonSchema(schema)])
    assert public_of(params, CANARY if isinstance(public, str) else {"a": CANARY}) == public


def test_a_sensitive_parameter_has_to_exist() -> None:
    """A name that no parameter has is refused at start-up, and so is the job's context."""
    with pytest.raises(BadSignature, match="sensitive names 'passwort', which is no parameter"):
        params_of(_login, ["passwort"])


_KEY = SecretStr(CANARY)


async def _login(password: str) -> None: ...


Shape = tuple[Any, Any, int]
"""An annotation, a value of it with canaries, and how many."""


def _leaves() -> st.SearchStrategy[Shape]:
    texts = st.text(max_size=5)
    canaries = st.integers(0, 10**6).map(lambda number: f"{CANARY}{number}")
    return st.one_of(
        texts.map(lambda text: (str, text, 0)),
        st.integers(-9, 9).map(lambda number: (int, number, 0)),
        st.none().map(lambda none: (SecretStr | None, none, 0)),
        canaries.map(lambda text: (SecretStr, text, 1)),
        canaries.map(lambda text: (SecretBytes | None, text, 1)),
        canaries.map(lambda text: (Secret[str], text, 1)),
        canaries.map(lambda text: (Secret[dict[str, int]], {text: 1}, 1)),
    )


def _nested(inner: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
    names = st.sampled_from(["a", "b/c", "~d", "", "items", "$ref", "default", "é"])
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(_list_of, inner, st.integers(0, 3)),
        st.builds(_dict_of, inner, names),
        several.map(_tuple_of),
        several.map(_model_of),
    )


def _list_of(shape: Shape, size: int) -> Shape:
    kind, value, count = shape
    return GenericAlias(list, (kind,)), [value] * size, count * size


def _dict_of(shape: Shape, name: str) -> Shape:
    kind, value, count = shape
    return GenericAlias(dict, (str, kind)), {name: value}, count


def _tuple_of(shapes: list[Shape]) -> Shape:
    kinds, values, counts = zip(*shapes, strict=True)
    return GenericAlias(tuple, kinds), list(values), sum(counts)


def _model_of(shapes: list[Shape]) -> Shape:
    fields: dict[str, Any] = {f"m{i}": (shape[0], ...) for i, shape in enumerate(shapes)}
    value = {f"m{i}": shape[1] for i, shape in enumerate(shapes)}
    return create_model("Model", **fields), value, sum(shape[2] for shape in shapes)


shapes = st.recursive(_leaves(), _nested, max_leaves=6)


@given(shapes)
def test_split_and_merge(shape: Shape) -> None:
    """However types nest, each secret and nothing else is taken out, and comes back."""
    annotation, value, count = shape
    public = public_of(params_with(annotation), value)
    assert CANARY not in json.dumps(public)
    assert json.dumps(public).count(MASK) == count


@given(st.lists(shapes, min_size=1, max_size=3))
def test_unions_hide_too_much_rather_than_too_little(several: list[Shape]) -> None:
    """A value may fit several members of a union: what is secret in any of them is hidden."""
    kinds = [shape[0] for shape in several]
    value = several[0][1]
    union: Any = kinds[0]
    for kind in kinds[1:]:
        union = union | kind
    params = params_with(union)
    shown: Any = None
    with suppress(InvalidParams):
        shown = public_of(params, value)
    assert CANARY not in json.dumps(shown)


def _repeat(value: Any) -> Any:
    raise ValueError(f"{value} is bad")


def _repeat_custom(value: Any) -> Any:
    raise PydanticCustomError("bad", f"{value} is bad")


def _repeat_model(value: Any) -> Any:
    raise AssertionError(str(value))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Annotated[SecretStr, BeforeValidator(_repeat)], CANARY),
        (Annotated[SecretStr, BeforeValidator(_repeat_custom)], CANARY),
        (list[Annotated[SecretStr, BeforeValidator(_repeat)]], [CANARY]),
        (Annotated[Login, BeforeValidator(_repeat_model)], {"user": "u", "password": CANARY}),
        (Annotated[list[Login], BeforeValidator(_repeat)], [{"user": "u", "password": CANARY}]),
        (Annotated[Aliased, BeforeValidator(_repeat)], {"word": CANARY}),
        (dict[SecretStr, int], {CANARY: "five"}),
        (Secret[dict[str, int]], {CANARY: "five"}),
        (Secret[bytes], [CANARY]),
        (ByTag, {"kind": CANARY, "value": CANARY}),
        (Login, CANARY),
        (Login, [CANARY]),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(annotation: Any, value: Any) -> None:
    """Neither the pointer nor the text of an error has a secret, whatever a validator says."""
    params = params_with(annotation)
    with pytest.raises(InvalidParams) as refused:
        params.parse(to_json({"value": value}))
    assert CANARY not in "".join(traceback.format_exception(refused.value))
    assert refused.value.errors[0].pointer.startswith("/params/value")


def test_what_is_wrong_is_still_said() -> None:
    """Of a secret that is too short or of the wrong type that is said; of the rest everything."""

    async def work(
        pin: Annotated[SecretStr, Field(min_length=4)],
        name: Annotated[str, BeforeValidator(_repeat)],
    ) -> None: ...

    params = params_of(work)
    assert _details(params, {"pin": "12", "name": "n"}) == {
        "/params/pin": "Value should have at least 4 items after validation, not 2",
        "/params/name": "Value error, n is bad",
    }
    assert "valid string" in _details(params, {"pin": 12, "name": "n"})["/params/pin"]
    assert _details(params, {"name": "n"})["/params/pin"] == "Field required"
    typo = _details(params, {"pin": "1234", "Pin": CANARY, "name": "n"})
    assert typo["/params/Pin"] == "Extra inputs are not permitted"


def _details(params: Params, value: Any) -> dict[str, str]:
    with pytest.raises(InvalidParams) as refused:
        params.parse(to_json(value))
    return {error.pointer: error.detail for error in refused.value.errors}


def _with_samples(sensitive: bool) -> dict[str, Any]:
    async def work(
        password: Annotated[str, Field(examples=[CANARY])] = CANARY,
        login: Annotated[Login, Field(examples=[{"user": "u", "password": CANARY}])] = {  # type: ignore[assignment]  # noqa: B006
            "user": "u",
            "password": CANARY,
        },
        key: SecretStr = _KEY,
    ) -> None: ...

    return params_of(work, ["password"] if sensitive else ()).schema()


def test_the_schema_shows_no_secret() -> None:
    """Defaults and examples of secrets are masked, also those that pydantic shows as they are."""
    assert CANARY in json.dumps(_with_samples(sensitive=False))
    schema = _with_samples(sensitive=True)
    assert CANARY not in json.dumps(schema)
    login = schema["properties"]["login"]
    assert login["default"] == login["examples"][0] == {"user": "u", "password": MASK}
    assert schema["properties"]["password"]["writeOnly"] is True


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        ({}, []),
        ({"a": "*"}, []),
        ({"a": MASK, "b": [1, {"c/d": MASK}]}, ["/a", "/b/1/c~1d"]),
    ],
)
def test_gaps(value: Any, pointers: list[str]) -> None:
    """The places where something was taken out can be told from the public part alone."""
    assert sorted(map(pointer_of, gaps(to_json(value)))) == pointers


def test_nothing_that_may_be_logged_has_a_secret() -> None:
    """The representation of a job or of a submission has none, nor have a job's params."""
    text = to_json({"password": CANARY})
    new = NewJob(task="login", params=text)
    admission = admit(new, task_from(_login, TaskOptions(sensitive=("password",))))
    job = admission.job(UUID(int=0), 1, 0)
    assert job.params == to_json({"password": MASK})
    assert CANARY not in repr(new) + repr(job)
    assert merged(job.params, job.secrets) == text
