"""Secret params: found by the schema, taken out of what is shown, put back for the coroutine.

A schema says `writeOnly` of what is secret. Where it leaves open how a value is to be read, the
value is secret if it is by any reading: to hide too much does less harm.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from app.jobs.models import Json
from app.jobs.texts import to_json

Path: TypeAlias = tuple[str | int, ...]
Schema: TypeAlias = Mapping[str, Any]

MASK: Final = "**********"
"""What is shown in the place of a secret."""

_MASK_JSON: Final = to_json(MASK)
_SECRET: Final[Schema] = {"writeOnly": True}
_PUBLIC: Final[Schema] = {}
_UNIONS: Final = ("anyOf", "oneOf", "allOf")
_MAPS: Final = ("properties", "patternProperties")
_SINGLE: Final = ("items", "additionalProperties", "propertyNames", "contentSchema")
_TYPES: Final[Mapping[type, frozenset[str]]] = {
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"integer", "number"}),
    list: frozenset({"array"}),
    dict: frozenset({"object"}),
}


class Secrets:
    """Where values of a JSON Schema, as pydantic writes it, have secrets.

    The definitions that it refers to are those of `root`, by default its own.
    """

    def __init__(self, schema: Schema, root: Schema | None = None) -> None:
        self._schema = schema
        self._root = root or schema
        self._known: dict[int, bool] = {}

    def __bool__(self) -> bool:
        """Whether there can be a secret at all."""
        return self._hides(self._schema)

    def places(self, value: Any, schema: Schema | None = None) -> list[Path]:
        """The paths of the secrets in a value, which need not fit the schema. None is no secret."""
        found: list[Path] = []
        left: list[tuple[Path, Any, list[Schema]]] = [((), value, [schema or self._schema])]
        while left:
            path, value, schemas = left.pop()
            readings = list(self._readings(schemas, value))
            fitting = [reading for reading in readings if _takes(reading, value)]
            if value is None or not any(map(self._hides, fitting or readings)):
                continue
            if self._is_secret(value, fitting):
                found.append(path)
                continue
            members = value.items() if isinstance(value, dict) else enumerate(value)
            for key, member in members:
                left.append(((*path, key), member, self._schemas_of(key, fitting)))
        return found

    def masked(self, value: Any, schema: Schema | None = None) -> Any:
        """The JSON value with the mask in its secret places."""
        paths = self.places(value, schema)
        return MASK if () in paths else _taken_out(value, paths)[0]

    def split(self, params: Json) -> tuple[Json, Json | None]:
        """The params with the mask in their secret places, and what stood there, for `merged`."""
        value = json.loads(params)
        public, secrets = _taken_out(value, self.places(value))
        return to_json(public), to_json(secrets) if secrets else None

    def mask_samples(self) -> None:
        """Put the mask into the defaults and examples that the schema itself shows."""
        if not self:
            return
        for schema in filter(self._hides, _beneath(self._schema, self._root)):
            for key in schema.keys() & {"default", "example"}:
                schema[key] = self.masked(schema[key], schema)
            if "examples" in schema:
                schema["examples"] = [self.masked(value, schema) for value in schema["examples"]]

    def _is_secret(self, value: Any, fitting: Sequence[Schema]) -> bool:
        """Whether all of it is: by a reading, or as none can tell which of its parts are."""
        if not fitting or any(reading.get("writeOnly") is True for reading in fitting):
            return True
        if isinstance(value, dict):  # the path to a member would tell its name
            return any(self._hides(reading.get("propertyNames", _PUBLIC)) for reading in fitting)
        return not isinstance(value, list)

    def _schemas_of(self, key: str | int, readings: Sequence[Schema]) -> list[Schema]:
        """What the readings of an object or of an array say of one member."""
        if isinstance(key, int):
            return [_of_item(reading, key) for reading in readings]
        schemas = [schema for reading in readings for schema in _of_member(reading, key)]
        named = any(key in reading.get("properties", ()) for reading in readings)
        # What is not named may be another alias of a secret: no schema shows those.
        if not named and any(map(self._names_secret, readings)):
            schemas.append(_SECRET)
        return schemas

    def _names_secret(self, reading: Schema) -> bool:
        return any(map(self._hides, reading.get("properties", {}).values()))

    def _readings(self, schemas: Iterable[Schema], value: Any) -> Iterator[Schema]:
        """The schemas, with references and unions replaced by what they stand for."""
        left, seen = list(schemas), set()
        while left:
            schema = left.pop()
            if id(schema) in seen:
                continue
            seen.add(id(schema))
            parts = _parts(schema, value, self._root)
            left += parts
            if not parts or schema.keys() & {"type", "writeOnly"}:
                yield schema

    def _hides(self, schema: Schema) -> bool:
        known = self._known.get(id(schema))
        if known is None:
            beneath = _beneath(schema, self._root)
            known = self._known[id(schema)] = any(s.get("writeOnly") is True for s in beneath)
        return known


def merged(params: Json, secrets: Json | None) -> Json:
    """The params as they were before `Secrets.split`."""
    if secrets is None:
        return params
    value = json.loads(params)
    for path, secret in json.loads(secrets):
        _exchange(value, path, secret)
    return to_json(value)


def is_masked(params: Json) -> bool:
    """Whether the mask stands in them."""
    return _MASK_JSON in params


def pointer_of(path: Iterable[str | int]) -> str:
    """The JSON pointer of a path."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return "".join(f"/{part}" for part in parts)


def gaps(params: Json) -> list[Path]:
    """The paths of the places where the mask stands."""
    if not is_masked(params):
        return []
    found: list[Path] = []
    left: list[tuple[Path, Any]] = [((), json.loads(params))]
    while left:
        path, value = left.pop()
        if value == MASK:
            found.append(path)
        elif isinstance(value, dict):
            left += [((*path, key), member) for key, member in value.items()]
        elif isinstance(value, list):
            left += [((*path, index), member) for index, member in enumerate(value)]
    return found[::-1]


def _taken_out(value: Any, paths: Iterable[Path]) -> tuple[Any, list[tuple[Path, Any]]]:
    """A copy of the value with the mask in these places, and what stood there."""
    public = json.loads(to_json(value))
    return public, [(path, _exchange(public, path, MASK)) for path in paths]


def _exchange(value: Any, path: Sequence[str | int], new: Any) -> Any:
    """Put something else at a path; gives what stood there."""
    *way, last = path
    for part in way:
        value = value[part]
    old, value[last] = value[last], new
    return old


def _takes(schema: Schema, value: Any) -> bool:
    """Whether a value of this type may fit."""
    kinds = schema.get("type")
    fitting = _TYPES.get(type(value), frozenset({"null"}))
    return kinds is None or not fitting.isdisjoint([kinds] if isinstance(kinds, str) else kinds)


def _parts(schema: Schema, value: Any, root: Schema) -> list[Any]:
    """The schemas that this one stands for; of a tagged union the one whose tag the value has."""
    if "$ref" in schema:
        return [_definition(schema["$ref"], root)]
    tags = schema.get("discriminator", _PUBLIC)
    if "mapping" in tags and isinstance(value, dict):
        tag = value.get(tags["propertyName"])
        if isinstance(tag, str) and (tagged := _definition(tags["mapping"].get(tag, ""), root)):
            return [tagged]
    return _only_schemas(part for union in _UNIONS for part in schema.get(union, ()))


def _of_member(schema: Schema, name: str) -> list[Schema]:
    """What an object's schema says of one member."""
    if name in schema.get("properties", ()):
        return _only_schemas([schema["properties"][name]])
    # Whichever pattern fits: they are written for another engine, which takes no time for any name.
    patterns = schema.get("patternProperties", _PUBLIC).values()
    return _only_schemas([*patterns, schema.get("additionalProperties")])


def _of_item(schema: Schema, index: int) -> Schema:
    """What an array's schema says of one item."""
    first = schema.get("prefixItems", ())
    item = first[index] if index < len(first) else schema.get("items")
    return item if isinstance(item, dict) else _PUBLIC


def _beneath(schema: Schema, root: Schema) -> Iterator[Any]:
    """The schema and all that it leads to, each once."""
    left: list[Any] = [schema]
    seen = set()
    while left:
        schema = left.pop()
        if id(schema) in seen:
            continue
        seen.add(id(schema))
        yield schema
        parts = [part for key in (*_UNIONS, "prefixItems") for part in schema.get(key, ())]
        parts += [part for key in _MAPS for part in schema.get(key, _PUBLIC).values()]
        parts += [schema.get(key) for key in _SINGLE]
        if "$ref" in schema:
            parts.append(_definition(schema["$ref"], root))
        left += _only_schemas(parts)


def _only_schemas(parts: Iterable[Any]) -> list[Schema]:
    """Without those that are not there, and those that are only true or false."""
    return [part for part in parts if isinstance(part, dict)]


def _definition(reference: str, root: Schema) -> Any:
    """What a reference leads to; nothing is known of what lies elsewhere."""
    return root.get("$defs", _PUBLIC).get(reference.removeprefix("#/$defs/"), _PUBLIC)
