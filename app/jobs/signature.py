"""From a coroutine function's signature to the models of its params and of its result."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaWarningKind
from pydantic_core import CoreConfig, PydanticSerializationError, SchemaSerializer

from app.jobs.context import JobContext
from app.jobs.eager import holds_iterator
from app.jobs.errors import InvalidParams, ParamError
from app.jobs.models import Json
from app.jobs.param_errors import param_errors, place_of
from app.jobs.schema import SecretSchemas, names_secret
from app.jobs.secrets import Secrets, pointer_of
from app.jobs.texts import class_name, to_json

M = TypeVar("M", bound=BaseModel)


class BadSignature(Exception):
    """Raised when no model can be made of a function's signature; the message says why."""


class BadResult(Exception):
    """Raised when a value does not fit the declared return type, or is no JSON."""


@dataclass(frozen=True)
class Params:
    """The params of a task: a pydantic model whose aliases are the function's parameter names."""

    model: type[BaseModel]
    context_name: str | None
    """The parameter that takes the `JobContext`, if there is one."""
    sensitive: frozenset[str] = frozenset()
    """Parameters that are secret though their types are not."""
    secrets: Secrets | None = None
    """Where the secrets are; None when there can be none."""

    @cached_property
    def names(self) -> Mapping[str, str]:
        """The parameters by the fields of the model."""
        return {name: str(field.alias) for name, field in self.model.model_fields.items()}

    def parse(self, params: Json) -> dict[str, Any]:
        """The keyword arguments in a JSON object; raises `InvalidParams` with pointers.

        Strict, as the schema is: `"5"` is no int.
        """
        if params == b"{}" and not self.names:  # none were sent, and the task takes none
            return {}
        try:
            parsed = validate_json(self.model, params, strict=True)
        except ValidationError as error:
            found = self._errors(error, _json_or_none(params))
            raise InvalidParams(found) from self._cause(error)
        # A validator of the task's own may raise anything; a SystemExit would stop the whole loop.
        except BaseException as error:
            detail = f"could not be checked: {class_name(error)}"
            found = [ParamError("/params", detail, "validator_failed")]
            raise InvalidParams(found) from self._cause(error)
        # Defaults too, of which pydantic copies lists and dicts: no job sees what another added.
        names = self.names
        return {names[field]: value for field, value in vars(parsed).items()}

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the params object, without any secret."""
        schema = self.model.model_json_schema(schema_generator=_SchemaGenerator)
        for name in self.sensitive:
            schema["properties"][name]["writeOnly"] = True
        Secrets(schema).mask_samples()
        return schema

    def masked(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The params as they may be shown."""
        return dict(params) if self.secrets is None else self.secrets.masked(dict(params))

    def _cause(self, error: BaseException) -> BaseException | None:
        """The error, unless its text, which a traceback would show, may have a secret."""
        return error if self.secrets is None else None

    def _errors(self, error: ValidationError, sent: Any) -> list[ParamError]:
        if self.secrets is None:
            return param_errors(error, "/params", sent)
        places = [pointer_of(("params", *path)) for path in self.secrets.places(sent)]
        return param_errors(error, "/params", sent, places)


class Result:
    """The declared type of what a task returns; any JSON value where nothing is declared."""

    __slots__ = ("_adapter", "_serializer", "_takes_none")

    def __init__(self, annotation: Any) -> None:
        self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        self._adapter.rebuild()  # of a type that puts off its building
        # pydantic's own serializer turns a NaN inside an `Any` into None without a word.
        config: CoreConfig = {"ser_json_inf_nan": "constants"}
        self._serializer = SchemaSerializer(self._adapter.core_schema, config)
        self._takes_none = annotation is NoneType or annotation is Any

    def encode(self, value: Any) -> Json:
        """The value as JSON, checked strictly (`"5"` is no int); raises `BadResult`."""
        if value is None and self._takes_none:  # which most jobs return, and nothing can change
            return b"null"
        try:
            if holds_iterator(value):
                raise BadResult("the result is no JSON value (an iterator)")
            checked = self._adapter.validator.validate_python(value, strict=True)
            # By alias, which is how the schema names the fields.
            return to_json(
                self._serializer.to_python(checked, mode="json", by_alias=True, warnings="error")
            )
        except ValidationError as error:
            raise BadResult(_first_line_of(error)) from error
        except BadResult:
            raise
        # Circular, too deep, not JSON, a lone surrogate, or code of the task's own that raises
        # anything, such as a serializer.
        except BaseException as error:
            raise BadResult(f"the result is no JSON value ({class_name(error)})") from error

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the result."""
        return self._adapter.json_schema(mode="serialization", schema_generator=_SchemaGenerator)


def params_of(function: Callable[..., Any], sensitive: Iterable[str] = ()) -> Params:
    """The params model of a coroutine function; raises `BadSignature`.

    Parameters of secret types are secret, and those named `sensitive`.
    """
    hints = _hints_of(function)
    parameters = inspect.signature(function).parameters
    fields: dict[str, Any] = {}
    context_name = None
    for name, parameter in parameters.items():
        _require_usable(parameter, hints)
        if not _is_context(hints[name]):
            # Names of our own, so that a parameter may be called `json` or `model_config`.
            fields[f"param_{len(fields)}"] = (hints[name], _field_of(parameter))
        elif context_name is None:
            context_name = name
        else:
            raise BadSignature(f"both {context_name!r} and {name!r} are a JobContext")
    _require_takes(function, parameters)
    params = Params(_model_of(function.__name__, fields), context_name)
    return _with_secrets(params, hints, frozenset(sensitive))


def result_of(function: Callable[..., Any]) -> Result:
    """The result type of a coroutine function; raises `BadSignature`."""
    annotation = _hints_of(function).get("return", Any)
    try:
        result = Result(annotation)
        to_json(result.schema())
    except Exception as error:
        raise BadSignature(f"no JSON can be made of what it returns: {_said(error)}") from error
    return result


def validate_json(model: type[M], text: Json, *, strict: bool | None = None) -> M:
    """The model of a JSON text; raises `ValidationError`.

    JSON has one kind of number: where an integer is asked for, 5.0 is one.
    """
    try:
        return cast(M, model.__pydantic_validator__.validate_json(text, strict=strict))
    except ValidationError as error:
        found = [e["input"] for e in error.errors(include_url=False) if e["type"] == "int_type"]
        if not any(isinstance(value, float) and value.is_integer() for value in found):
            raise
    return model.model_validate_json(
        json.dumps(json.loads(text, parse_float=_number)), strict=strict
    )


class _SchemaGenerator(SecretSchemas):
    """Leaves out a default that is no JSON, such as a sentinel or infinity, without a warning."""

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Says nothing: no parameter is wrong because its default cannot be shown."""

    def encode_default(self, dft: Any) -> Any:
        """The default as JSON."""
        encoded = super().encode_default(dft)
        try:
            to_json(encoded)
        except ValueError as error:
            raise PydanticSerializationError(str(error)) from error
        return encoded


def _hints_of(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except Exception as error:
        raise BadSignature(f"its annotations cannot be read: {_said(error)}") from error


def _require_usable(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> None:
    name = parameter.name
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise BadSignature(f"parameter {parameter} cannot be given by name")
    if name not in hints:
        raise BadSignature(f"parameter {name!r} has no type annotation")
    if isinstance(parameter.default, FieldInfo):
        raise BadSignature(
            f"parameter {name!r} has a Field as its default: "
            "write Annotated[TYPE, Field(...)] and a plain default"
        )
    if any(isinstance(part, FieldInfo) and part.validation_alias for part in get_args(hints[name])):
        raise BadSignature(f"parameter {name!r} has an alias: jobs give it by its own name")


def _is_context(hint: Any) -> bool:
    """Whether it is `JobContext`, also where it may be None or is annotated."""
    wrapped = get_origin(hint) in (Annotated, Union, UnionType)
    return hint is JobContext or (wrapped and JobContext in get_args(hint))


def _require_takes(function: Callable[..., Any], names: Iterable[str]) -> None:
    """A decorator may show the signature of the function it wraps, and take something else."""
    try:
        inspect.signature(function, follow_wrapped=False).bind(**dict.fromkeys(names))
    except TypeError as error:
        raise BadSignature(f"its decorator changes its parameters: {error}") from error


def _model_of(name: str, fields: dict[str, Any]) -> type[BaseModel]:
    config = ConfigDict(extra="forbid", allow_inf_nan=False, title=f"{name} params")
    try:
        model: type[BaseModel] = create_model(f"{name}_params", __config__=config, **fields)
        to_json(Params(model, None).schema())
    except Exception as error:
        raise BadSignature(f"no model of its parameters can be made: {_said(error)}") from error
    return model


def _field_of(parameter: inspect.Parameter) -> Any:
    default = ... if parameter.default is parameter.empty else parameter.default
    name = parameter.name
    return Field(default, alias=name, validation_alias=name, serialization_alias=name)


def _with_secrets(params: Params, hints: Mapping[str, Any], sensitive: frozenset[str]) -> Params:
    schema = params.schema()
    members = schema.get("properties", {})
    if unknown := sorted(sensitive - members.keys()):
        raise BadSignature(f"sensitive names {unknown[0]!r}, which is no parameter")
    # A validator of the task's own may stand in the place of pydantic's, and show no schema.
    silent = {n for n, member in members.items() if not Secrets(member, schema)}
    params = replace(params, sensitive=sensitive | {n for n in silent if names_secret(hints[n])})
    secrets = Secrets(params.schema())
    return replace(params, secrets=secrets) if secrets else params


def _number(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _json_or_none(text: Json) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _first_line_of(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = place_of(first["loc"])
    return f"the result is not of the declared type: {where + ': ' if where else ''}{first['msg']}"


def _said(error: Exception) -> str:
    """The first line of what an error says: pydantic's further ones speak of itself."""
    return str(error).partition("\n")[0]
