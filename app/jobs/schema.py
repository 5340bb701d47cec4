"""JSON Schemas in which every type that is secret says that it is."""

from typing import Any, Final, get_args, get_origin

from pydantic import Secret, SecretBytes, SecretStr
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

_WRAPPED: Final = ("schema", "strict_schema", "json_schema")
"""Where a schema of pydantic's core has the one that it wraps."""


class SecretSchemas(GenerateJsonSchema):
    """Says `writeOnly` of `Secret[...]` too, and of a secret with a schema of the task's own."""

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        """The JSON Schema of a schema of pydantic's core."""
        generated = super().generate_inner(schema)
        secret = self.mode == "validation" and _is_secret(schema)
        return {**generated, "writeOnly": True} if secret else generated


def names_secret(hint: Any) -> bool:
    """Whether an annotation names a secret type; what the classes in it have is left out."""
    kind = get_origin(hint) or hint
    if isinstance(kind, type) and issubclass(kind, Secret | SecretStr | SecretBytes):
        return True
    return any(map(names_secret, get_args(hint)))


def _is_secret(schema: Any) -> bool:
    while isinstance(schema, dict):
        if schema.get("type") == "function-after" and _makes_secret(schema["function"]["function"]):
            return True
        schema = next((schema[key] for key in _WRAPPED if key in schema), None)
    return False


def _makes_secret(validator: object) -> bool:
    """Whether a validator is the one by which pydantic makes the object that hides its value."""
    if isinstance(validator, type):
        return issubclass(validator, SecretStr | SecretBytes)
    return getattr(validator, "__qualname__", "").startswith("Secret.__get_pydantic_core_schema__")
