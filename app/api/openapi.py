"""The OpenAPI document: the routes, and one shape of submission for each task."""

import re
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api import describe, schemas, webhooks
from app.api.examples import example_of
from app.api.submission import Submission
from app.jobs.registry import Task, TaskRegistry

_COMPONENTS: Final = "#/components/schemas/"
_DEFINITIONS: Final = "#/$defs/"

_BOTH_TIMES: Final = {
    "required": ["delay", "run_at"],
    "properties": {"delay": {"type": "number"}, "run_at": {"type": "string"}},
}

DESCRIPTION: Final = """\
Runs named Python coroutines as durable jobs. Submit one with `POST /jobs`, poll `GET /jobs/{id}`
until `done`, fetch `GET /jobs/{id}/result`, or stop it with `DELETE /jobs/{id}`.

POST and DELETE answer 200 when the job they return is done and 202 when it is not. Every error is
a problem (RFC 9457) whose `type` is the path of a page that says what to do.
"""

TAGS: Final = [
    {"name": "jobs", "description": "Submit, look at, wait for, list and cancel jobs."},
    {"name": "webhooks", "description": "What is POSTed to the webhook of a job that has ended."},
    {"name": "events", "description": "Watch jobs as their lives go on."},
    {"name": "tasks", "description": "What can be run, with what, and what it returns."},
    {"name": "store", "description": "What holds the jobs."},
    {"name": "health", "description": "For probes: does the process live, does it accept work?"},
    {"name": "problems", "description": "What can go wrong and what to do then."},
]


def openapi_of(app: FastAPI, registry: TaskRegistry) -> dict[str, Any]:
    """The document of the service with these tasks."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary="Runs named Python coroutines as durable, cancellable jobs over HTTP.",
        description=DESCRIPTION,
        license_info={"name": "MIT", "identifier": "MIT"},
        tags=TAGS,
        routes=app.routes,
        webhooks=webhooks.router.routes,
    )
    components = document["components"]["schemas"]
    _drop_framework_errors(document)
    _add_model(components, "Problem", schemas.Problem.model_json_schema(ref_template=_ref()))
    document["components"] |= describe.components()
    document["security"] = [{}, *({name: []} for name in describe.SECURITY)]
    operation = document["paths"]["/jobs"]["post"]
    operation["requestBody"] = _request_body(registry, components)
    document["components"]["schemas"] = {
        name: _plain(schema) for name, schema in sorted(components.items())
    }
    return document


def _request_body(registry: TaskRegistry, components: dict[str, Any]) -> dict[str, Any]:
    """A union discriminated by `task`, with one filled-in example for each, or a copy."""
    copy = {"$ref": _add_copy(components, [task.name for task in registry])}
    references = {task.name: _add_submission(components, task) for task in registry}
    schema: dict[str, Any] = {
        "oneOf": [*({"$ref": reference} for reference in references.values()), copy],
        "discriminator": {"propertyName": "task", "mapping": references},
    }
    if not references:
        schema = copy
    examples = {
        task.name: {
            "summary": f"{task.name}: {task.summary}" if task.summary else task.name,
            "value": {"task": task.name, "params": example_of(task)},
        }
        for task in registry
    }
    return {
        "required": True,
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }


def _add_copy(components: dict[str, Any], tasks: list[str]) -> str:
    """The shape of a submission that copies an earlier one; gives the reference to it."""
    schema = _submission_schema() | {"required": ["copy_of"]}
    schema["description"] = "An earlier job's task and params again, and what is different."
    properties = schema["properties"]
    properties["task"] = {"$ref": _add_model(components, "TaskName", _task_names(tasks))}
    properties["params"] = {"$ref": _ref("Params")}
    properties["copy_of"] |= properties["copy_of"].pop("anyOf")[0]
    return _add_titled(components, "SubmitCopy", schema)


def _task_names(tasks: list[str]) -> dict[str, Any]:
    return {"type": "string", "title": "TaskName", "description": "The name of a task."} | (
        {"enum": tasks} if tasks else {}
    )


def _add_submission(components: dict[str, Any], task: Task) -> str:
    """The shape of a submission of one task, as a component; gives the reference to it."""
    base = _free_name(components, task.name)
    params = task.params.schema()
    for name, definition in params.pop("$defs", {}).items():
        _add_titled(components, f"{base}_{name}", _moved(definition, base))
    reference = _add_titled(components, f"{base}Params", _moved(params, base))
    schema = _submission_schema()
    schema["description"] = task.doc or f"A job of the task `{task.name}`."
    properties = schema["properties"]
    properties["task"] = {"type": "string", "const": task.name}
    properties["params"] = {"$ref": reference}
    properties["timeout"]["anyOf"][0] |= _limit(task)
    del properties["copy_of"]
    schema["required"] = ["task", "params"] if params.get("required") else ["task"]
    return _add_titled(components, f"Submit{base}", schema)


def _free_name(components: dict[str, Any], task: str) -> str:
    """The task's name in the spelling of a class; numbered where two tasks would share it."""
    words = re.split(r"[^A-Za-z0-9]+", task)
    base = "".join(word[:1].upper() + word[1:] for word in words) or "Task"
    names = [base, *(f"{base}{number}" for number in range(2, len(components) + 2))]
    return next(name for name in names if f"Submit{name}" not in components)


def _limit(task: Task) -> dict[str, Any]:
    limit = task.options.timeout
    return {} if limit is None else {"maximum": limit}


def _submission_schema() -> dict[str, Any]:
    schema = Submission.model_json_schema(ref_template=_ref())
    schema["properties"]["labels"] = {"$ref": _ref("Labels")}
    return schema | {"not": _BOTH_TIMES}


def _add_titled(components: dict[str, Any], name: str, schema: dict[str, Any]) -> str:
    """Add a schema whose title, of which generators make class names, is the component's name."""
    if "title" in schema:
        schema = {**schema, "title": name}
    return _add_model(components, name, schema)


def _add_model(components: dict[str, Any], name: str, schema: dict[str, Any]) -> str:
    components.update(schema.pop("$defs", {}))
    components[name] = schema
    return _ref(name)


def _ref(name: str = "{model}") -> str:
    return _COMPONENTS + name


def _moved(schema: Any, base: str) -> Any:
    """The schema with its references to its own definitions led to the components."""
    match schema:
        case dict():
            return {key: _moved(value, base) for key, value in schema.items()}
        case list():
            return [_moved(item, base) for item in schema]
        case str() if schema.startswith(_DEFINITIONS):
            return _ref(f"{base}_{schema.removeprefix(_DEFINITIONS)}")
        case _:
            return schema


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without what makes clients of it hard to read."""
    if "properties" not in schema:
        return schema
    members = schema["properties"].items()
    return schema | {"properties": {name: _plain_member(name, member) for name, member in members}}


def _plain_member(name: str, member: dict[str, Any]) -> dict[str, Any]:
    """Without a title made of its name, without null as its default, and a union only of others."""
    left_out = {"title": name.title().replace("_", " ").strip(), "default": None}
    plain = {key: value for key, value in member.items() if left_out.get(key, ...) != value}
    match plain.get("anyOf"):
        case [{"type": str() as kind} as one, {"type": "null"}] if "enum" not in one:
            del plain["anyOf"]
            plain = {**one, "type": [kind, "null"], **plain}
    return plain


def _drop_framework_errors(document: dict[str, Any]) -> None:
    """Every error is a problem here: the framework's own 422 never leaves this service."""
    for path in (*document["paths"].values(), *document["webhooks"].values()):
        for operation in path.values():
            content = operation["responses"].get("422", {}).get("content", {})
            if "application/json" in content:
                del operation["responses"]["422"]
            operation["responses"] = dict(sorted(operation["responses"].items()))
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
