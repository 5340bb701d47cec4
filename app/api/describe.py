"""How the routes are described in the OpenAPI document: their headers, answers and problems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

from fastapi import Path
from pydantic import BaseModel

from app.api import patterns
from app.api.problem_type import CONNECTION_PROBLEMS, ProblemType
from app.api.problem_types import PROBLEMS
from app.api.samples import EVENTS, METRICS, SAMPLES

Responses = dict[int | str, dict[str, Any]]

_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
_STATUS: Final = {"$ref": "#/components/schemas/Status"}
_LABEL: Final = {"type": "string", "pattern": patterns.LABEL_FILTER}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a route: what it means, its body, the names of its samples and headers."""

    description: str
    model: type[BaseModel] | None = None
    samples: Sequence[str] = ()
    headers: Sequence[str] = ()


def _header(name: str, description: str, example: str, **schema: Any) -> dict[str, Any]:
    return _parameter("header", name, description, {"type": "string", **schema}, example)


def _parameter(
    place: str, name: str, description: str, schema: dict[str, Any], example: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": False,
        "description": description,
        # In the schema: Swagger UI would send an example of the parameter itself with each request.
        "schema": schema | {"examples": [example]},
    }


def _filter(name: str, description: str, schema: dict[str, Any], example: str) -> dict[str, Any]:
    """A query parameter that may be repeated."""
    array = {"type": "array", "items": schema, "maxItems": patterns.MAX_REPEATED}
    return _parameter("query", name, description, array, [example])


def _time(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "format": "date-time"}
    return _parameter("query", name, description, schema, "2026-11-22T10:00:00Z")


_PARAMETERS: Final[Mapping[str, dict[str, Any]]] = {
    "idempotency_key": _header(
        "Idempotency-Key",
        "1 to 255 visible characters. The same key with the same body finds the same job again, "
        "so that a submission can be repeated without harm. Remembered as long as the job.",
        "order-42",
        pattern=patterns.IDEMPOTENCY_KEY,
    ),
    "prefer": _header(
        "Prefer",
        "`wait=n`: wait up to n seconds for the job to finish. `return=minimal`: leave params, "
        "result, attempts and webhook out.",
        "wait=10",
    ),
    "prefer_wait": _header(
        "Prefer", "`wait=n`: wait up to n seconds for the job to finish.", "wait=10"
    ),
    "traceparent": _header(
        "traceparent",
        "The trace that the submission belongs to, kept with the job (W3C Trace Context).",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    "if_none_match": _header(
        "If-None-Match",
        "The `ETag` of an earlier answer: 304 while the job has not changed since. With `wait`, "
        "the answer comes when it changes.",
        '"17"',
    ),
    "if_match": _header(
        "If-Match", "The `ETag` of an earlier answer: 412 if the job has changed since.", '"17"'
    ),
    "validate_only": _parameter(
        "query",
        "validate_only",
        "`true`: check the submission and create nothing.",
        {"type": "boolean", "default": False},
        True,
    ),
    "last_event_id": _header(
        "Last-Event-ID",
        "The last `id` that was received: the stream goes on after it.",
        "17",
        pattern=patterns.EVENT_ID,
    ),
    "status": _filter("status", "Jobs of this status.", _STATUS, "running"),
    "task": _filter("task", "Jobs of this task.", {"type": "string"}, "sleep"),
    "label": _filter("label", "Jobs with this label, as name:value.", _LABEL, "order:42"),
    "created_after": _time("created_after", "Jobs submitted at this time or later."),
    "created_before": _time("created_before", "Jobs submitted before this time."),
    "limit": _parameter(
        "query",
        "limit",
        "How many jobs a page holds; more than 500 is taken as 500.",
        {"type": "integer", "minimum": 1, "default": 50},
        50,
    ),
    "cursor": _parameter(
        "query",
        "cursor",
        "`next` of the page before.",
        {"type": "string", "pattern": patterns.CURSOR},
        "AZnSoHscdwAPLipBwH3lEg",
    ),
}

_HEADERS: Final[Mapping[str, tuple[str, str, Any]]] = {
    "Allow": ("string", "The methods that the path has.", "GET, POST, HEAD"),
    "ETag": ("string", "Changes with every committed change of the job.", '"17"'),
    "Idempotent-Replayed": (
        "string",
        "`true` when the key was known: this job was submitted before.",
        "true",
    ),
    "Job-Status": ("string", "The job's status.", "completed"),
    "Link": ("string", "The next page, where there is one.", '</jobs?limit=50>; rel="next"'),
    "Location": ("string", "The path of the job.", "/jobs/0199d2a0-7b1c-7000-8f3e-2a41c07de512"),
    "Preference-Applied": ("string", "What of `Prefer` was heeded.", "wait=10"),
    "WWW-Authenticate": ("string", "How to send a key.", 'Bearer realm="awaitd"'),
    "Retry-After": ("integer", "Seconds after which to ask again.", 1),
}

OPEN: Final[dict[str, Any]] = {"security": []}
"""The `openapi_extra` of a route that asks for no key."""

SECURITY: Final = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key that `awaitd keys add` printed. Without keys on the server, none.",
    }
}
"""How a caller says who it is."""

OF_JOB: Final = ("ETag", "Preference-Applied")
"""The headers of every answer that is a job."""

JobId: TypeAlias = Annotated[
    str, Path(description="The job's id, a UUIDv7.", json_schema_extra={"format": "uuid"})
]
"""As the document shows it; what is no UUID is a job that is not found."""

ProblemSlug: TypeAlias = Annotated[
    str,
    Path(
        description="The last part of a problem's `type`.",
        json_schema_extra={"enum": list(PROBLEMS)},
    ),
]

_RETRIED: Final = {"job-not-finished", "queue-full", "rate-limited", "shutting-down"} | {
    "store-full",
    "store-unavailable",
    "too-many-waiters",
    "worker-silent",
}
"""The problems that come with `Retry-After`."""

_JOB_LINKS: Final = {
    "job": {"operationId": "get_job", "description": "Poll the job."},
    "result": {"operationId": "get_result", "description": "Fetch its result."},
    "cancel": {"operationId": "cancel_job", "description": "Cancel it."},
}


def components() -> dict[str, dict[str, Any]]:
    """What the routes refer to: the headers of answers, and examples of what they hold."""
    examples = {name: {"value": value} for name, value in SAMPLES.items()}
    problems = {
        kind.slug: {"summary": kind.title, "value": _example(kind)} for kind in PROBLEMS.values()
    }
    headers = {
        name: {"description": description, "schema": {"type": kind}, "example": example}
        for name, (kind, description, example) in _HEADERS.items()
    }
    return {"examples": examples | problems, "headers": headers, "securitySchemes": SECURITY}


def parameters(*names: str) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads these headers and query parameters itself."""
    return {"parameters": [_PARAMETERS[name] for name in names]}


def answers(successes: Mapping[int, Answer], *problems: str) -> Responses:
    """The responses of a route: those that went well, and its problems by slug."""
    return open_answers(successes, "unauthorized", "forbidden", *problems)


def open_answers(successes: Mapping[int, Answer], *problems: str) -> Responses:
    """The responses of a route that asks for no key; it is `OPEN` too."""
    responses: Responses = {status: _response(answer) for status, answer in successes.items()}
    of_connection = (kind.slug for kind in CONNECTION_PROBLEMS)
    return responses | _problems(*problems, *of_connection, "internal-error")


def streaming(*problems: str, ends: str = "") -> Responses:
    """The responses of a route that answers with server-sent events."""
    stream = {
        "description": "Events, for as long as there are any.",
        # No type: some read the schema as one of the whole text, others as one of each event.
        "content": {"text/event-stream": {"schema": {}, "example": EVENTS}},
    }
    return {200: stream} | answers({204: Answer(ends)} if ends else {}, *problems)


def metrics(*problems: str) -> Responses:
    """The responses of a route that answers in the text format of Prometheus."""
    content = {"text/plain": {"schema": {"type": "string"}, "example": METRICS}}
    return {200: {"description": "The metrics.", "content": content}} | answers({}, *problems)


def download(media_type: str, description: str, *problems: str) -> Responses:
    """The responses of a route that answers with a file."""
    # No type: how binary content is declared differs from one release of OpenAPI to the next.
    file = {
        "description": description,
        "content": {media_type: {"schema": {}, "example": "(binary)"}},
    }
    return {200: file} | answers({}, *problems)


def with_job_links(responses: Responses, status: int) -> Responses:
    """The responses, that of one status with links to what can be done with the job in it."""
    links = {
        name: link | {"parameters": {"job_id": "$response.body#/id"}}
        for name, link in _JOB_LINKS.items()
    }
    return responses | {status: responses[status] | {"links": links}}


def _response(answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.description}
    if answer.model is not None:
        response["model"] = answer.model
    if answer.headers:
        response["headers"] = _references("headers", answer.headers)
    if answer.samples:
        examples = _references("examples", answer.samples)
        response["content"] = {"application/json": {"examples": examples}}
    return response


def _problems(*slugs: str) -> Responses:
    """The problems by status, each with an example; several may share one status."""
    responses: Responses = {}
    for kind in (PROBLEMS[slug] for slug in slugs):
        response = responses.setdefault(
            kind.status,
            {
                "description": "",
                "content": {"application/problem+json": {"schema": _PROBLEM, "examples": {}}},
            },
        )
        examples = response["content"]["application/problem+json"]["examples"]
        examples |= _references("examples", (kind.slug,))
        names = ", ".join(f"[`{slug}`](/problems/{slug})" for slug in examples)
        response["description"] = f"{kind.title if len(examples) == 1 else 'One of'}: {names}."
        if kind.slug in _RETRIED:
            response["headers"] = _references("headers", ("Retry-After",))
        if kind.slug == "unauthorized":
            response["headers"] = _references("headers", ("WWW-Authenticate",))
    return responses


def _example(kind: ProblemType) -> dict[str, Any]:
    return {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail,
        "instance": "/jobs",
        **kind.members,
    }


def _references(kind: str, names: Sequence[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/{kind}/{name}"} for name in names}
