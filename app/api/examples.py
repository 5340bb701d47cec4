"""An example of a task's params: its own, or one made from its schema."""

from collections.abc import Mapping
from typing import Any, Final

from app.jobs.registry import Task
from app.jobs.secrets import MASK

_OF_TYPE: Final[Mapping[str, Any]] = {
    "string": "text",
    "integer": 1,
    "number": 1.0,
    "boolean": True,
    "array": [],
}
_OF_FORMAT: Final[Mapping[str, str]] = {
    "uri": "https://example.org/",
    "date-time": "2027-01-31T09:30:00Z",
    "date": "2027-01-31",
    "time": "09:30:00Z",
    "duration": "PT90S",
    "password": MASK,
    "uuid": "0199d2a0-7b1c-7000-8f3e-2a41c07de512",
}
_MAX_DEPTH: Final = 8
"""How deep an example is nested: a schema may contain itself."""


def example_of(task: Task) -> dict[str, Any]:
    """The task's `example`; without one, its required params with a placeholder each."""
    if task.options.example is not None:
        return task.params.masked(task.options.example)
    schema = task.params.schema()
    return _object(schema, schema, 0)


def _object(schema: dict[str, Any], root: dict[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    required = schema.get("required", ()) if depth < _MAX_DEPTH else ()
    return {name: _placeholder(properties.get(name, {}), root, depth + 1) for name in required}


def _placeholder(schema: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    values = [schema[key] for key in ("default", "const", "minimum") if key in schema]
    values += [value for key in ("examples", "enum") for value in schema.get(key, ())]
    if values:
        return values[0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _placeholder(schema[key][0], root, depth)
    if "$ref" in schema:
        definition = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
        return _placeholder(definition, root, depth + 1) if depth < _MAX_DEPTH else None
    if schema.get("type") == "object":
        return _object(schema, root, depth)
    return _OF_FORMAT.get(schema.get("format", "")) or _OF_TYPE.get(schema.get("type", ""))
