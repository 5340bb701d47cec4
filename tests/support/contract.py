"""The OpenAPI document as a judge: what a server answers has to be what it says."""

import json
import re
from typing import Any, Final

import httpx
from openapi_schema_validator import OAS31Validator, oas31_format_checker

HEADERS: Final = {
    "ETag",
    "Idempotent-Replayed",
    "Job-Status",
    "Link",
    "Location",
    "Preference-Applied",
    "Retry-After",
}
"""The headers that an answer may only have where the document says so."""


STREAM: Final = "text/event-stream"


def is_json(media_type: str) -> bool:
    """Whether there is a schema that a body of this type can be held against."""
    return media_type.partition(";")[0].endswith("json")


class Contract:
    """Checks answers against a document; paths that are not in it are not its business."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._validators: dict[str, Any] = {}
        self._seen: set[str] = set()
        self._paths = {
            re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): path for path in document["paths"]
        }

    def check(self, response: httpx.Response) -> None:
        """Raises `AssertionError` for an answer that the document does not have."""
        operation = self._operation_of(response.request)
        if operation is None:
            return
        where = f"{response.request.method} {response.request.url.path} {response.status_code}"
        documented = operation["responses"].get(str(response.status_code))
        assert documented is not None, f"{where} is not documented"
        if response.headers.get("content-type", "").startswith(STREAM):
            assert STREAM in documented["content"], f"{where} is no stream"
            return  # it ends when the caller leaves
        response.read()
        if not is_json(response.headers.get("content-type", "json")):
            media_type = response.headers["content-type"].partition(";")[0]
            assert media_type in documented["content"], f"{where} is {media_type}"
            return
        self._check_headers(response, documented, where)
        content = documented.get("content", {})
        for media_type, media in content.items():
            assert response.headers["content-type"] == media_type
            if media_type == "application/problem+json":
                slug = response.json()["type"].rsplit("/", 1)[-1]
                assert slug in media["examples"], f"{where}: {slug} is not documented"
                if slug in self._seen:  # problems of one kind are made in one place
                    continue
                self._seen.add(slug)
            self.require_valid(response.json(), media["schema"])

    def require_valid(self, value: Any, schema: dict[str, Any]) -> None:
        """Raises `ValidationError` for a value that a schema of the document refuses."""
        key = json.dumps(schema)
        if key not in self._validators:  # to make one takes longer than to use it
            root = {**schema, "components": self.document["components"]}
            self._validators[key] = OAS31Validator(root, format_checker=oas31_format_checker)
        self._validators[key].validate(value)

    def example(self, reference: dict[str, Any]) -> Any:
        """The value of an example, which may stand among the components."""
        name = reference.get("$ref", "").removeprefix("#/components/examples/")
        return (self.document["components"]["examples"][name] if name else reference)["value"]

    def _operation_of(self, request: httpx.Request) -> dict[str, Any] | None:
        for pattern, path in self._paths.items():
            if pattern.fullmatch(request.url.path):
                operation = self.document["paths"][path].get(request.method.lower())
                return operation if isinstance(operation, dict) else None
        return None

    def _check_headers(self, response: httpx.Response, documented: Any, where: str) -> None:
        if response.is_success:
            given = {name for name in HEADERS if name in response.headers}
            assert given <= documented.get("headers", {}).keys(), f"{where}: {given}"
