"""From a coroutine function's signature to the models of its params and of its result."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import CoreConfig, ErrorDetails, PydanticSerializationError, SchemaSerializer

from app.jobs.context import JobContext
from app.jobs.eager import holds_iterator
from app.jobs.errors import InvalidParams, ParamError
from app.jobs.models import Json
from app.jobs.texts import class_name, clipped, to_json

M = TypeVar("M", bound=BaseModel)

_MAX_ERRORS: Final = 50


class BadSignature(Exception):
    """Raised when no model can be made of a function's signature; the message says why."""


class BadResult(Exception):
    """Raised when a value does not fit the declared return type, or is no JSON."""


@dataclass(frozen=True, slots=True)
class Params:
    """The params of a task: a pydantic model whose aliases are the function's parameter names."""

    model: type[BaseModel]
    context_name: str | None
    """The parameter that takes the `JobContext`, if there is one."""

    def parse(self, params: Json) -> dict[str, Any]:
        """The keyword arguments in a JSON object; raises `InvalidParams` with pointers.

        Strict, as the schema is: `"5"` is no int.
        """
        try:
            parsed = validate_json(self.model, params, strict=True)
        except ValidationError as error:
            raise InvalidParams(param_errors(error, "/params", _json_or_none(params))) from error
        # A validator of the task's own may raise anything; a SystemExit would stop the whole loop.
        except BaseException as error:
            detail = f"could not be checked: {class_name(error)}"
            raise InvalidParams([ParamError("/params", detail, "validator_failed")]) from error
        # Defaults too, of which pydantic copies lists and dicts: no job sees what another added.
        fields = self.model.model_fields
        return {str(fields[name].alias): value for name, value in vars(parsed).items()}

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the params object."""
        return self.model.model_json_schema(schema_generator=_SchemaGenerator)


class Result:
    """The declared type of what a task returns; any JSON value where nothing is declared."""

    __slots__ = ("_adapter", "_serializer")

    def __init__(self, annotation: Any) -> None:
        self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        self._adapter.rebuild()  # of a type that puts off its building
        # pydantic's own serializer turns a NaN inside an `Any` into None without a word.
        config: CoreConfig = {"ser_json_inf_nan": "constants"}
        self._serializer = SchemaSerializer(self._adapter.core_schema, config)

    def encode(self, value: Any) -> Json:
        """The value as JSON, checked strictly (`"5"` is no int); raises `BadResult`."""
        try:
            if holds_iterator(value):
                raise BadResult("the result is no JSON value (an iterator)")
            checked = self._adapter.validate_python(value, strict=True)
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


def params_of(function: Callable[..., Any]) -> Params:
    """The params model of a coroutine function; raises `BadSignature`."""
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
    return Params(_model_of(function.__name__, fields), context_name)


def result_of(function: Callable[..., Any]) -> Result:
    """The result type of a coroutine function; raises `BadSignature`."""
    annotation = _hints_of(function).get("return", Any)
    try:
        result = Result(annotation)
        to_json(result.schema())
    except Exception as error:
        raise BadSignature(f"no JSON can be made of what it returns: {_said(error)}") from error
    return result


def param_errors(error: ValidationError, prefix: str, sent: Any = None) -> list[ParamError]:
    """What pydantic found, with JSON pointers that begin with `prefix`; inputs are not echoed.

    The pointers lead into `sent`, the JSON value that was checked.
    """
    found = error.errors(include_url=False, include_input=False)
    errors = [
        ParamError(clipped(prefix + _pointer(e["loc"], e["type"], sent)), _detail(e), e["type"])
        for e in found[:_MAX_ERRORS]
    ]
    if more := len(found) - len(errors):
        errors.append(ParamError(prefix, f"and {more} more errors", "too_many_errors"))
    return errors


def validate_json(model: type[M], text: Json, *, strict: bool | None = None) -> M:
    """The model of a JSON text; raises `ValidationError`.

    JSON has one kind of number: where an integer is asked for, 5.0 is one.
    """
    try:
        return model.model_validate_json(text, strict=strict)
    except ValidationError as error:
        found = [e["input"] for e in error.errors(include_url=False) if e["type"] == "int_type"]
        if not any(isinstance(value, float) and value.is_integer() for value in found):
            raise
    return model.model_validate_json(
        json.dumps(json.loads(text, parse_float=_number)), strict=strict
    )


class _SchemaGenerator(GenerateJsonSchema):
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


def _detail(error: ErrorDetails) -> str:
    if error["type"] == "union_tag_invalid":  # the one message that repeats what was sent
        context = error["ctx"]
        return f"{context['discriminator']} should be one of {context['expected_tags']}"
    return clipped(error["msg"])


def _pointer(location: tuple[str | int, ...], kind: str = "", sent: Any = None) -> str:
    """The parts that lead somewhere in what was sent, and the last one of a missing member.

    pydantic also names the member of a union that it tried, and `[key]` for the key itself.
    """
    parts, value = [], sent
    for index, part in enumerate(location, start=1):
        try:
            value = value[part]
        except (LookupError, TypeError):
            is_missing = index == len(location) and "missing" in kind
            if sent is not None and not is_missing:
                continue
        parts.append(str(part))
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


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
    where = _pointer(first["loc"])
    return f"the result is not of the declared type: {where + ': ' if where else ''}{first['msg']}"


def _said(error: Exception) -> str:
    """The first line of what an error says: pydantic's further ones speak of itself."""
    return str(error).partition("\n")[0]
