"""The envelope of `POST /jobs`. The task's own params are checked after it, by their own model."""

import contextlib
import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Request
from msgspec.structs import replace
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from app.api import patterns
from app.api.problems import Problem
from app.api.requests import header, header_lines, state_of
from app.api.security import Caller
from app.api.times import require_rfc3339
from app.jobs.admission import MAX_DELAY
from app.jobs.errors import InvalidParams, ParamError
from app.jobs.models import NewJob
from app.jobs.param_errors import param_errors
from app.jobs.signature import validate_json
from app.jobs.texts import to_json
from app.jobs.webhooks import Webhook
from app.scheduler import Status

Labels = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=patterns.LABEL_NAME)],
        Annotated[str, StringConstraints(pattern=patterns.LABEL_VALUE)],
    ],
    Field(max_length=patterns.MAX_LABELS),
]
Seconds = Annotated[float, Field(ge=0, le=MAX_DELAY)]

_KEY: Final = re.compile(patterns.IDEMPOTENCY_KEY)
_NO_SECRET: Final = "this server signs no webhooks: its setting AWAITD_WEBHOOK_SECRET is not set"
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


Time = Annotated[
    AwareDatetime,
    Field(
        lt=datetime(9999, 1, 2, tzinfo=UTC),
        strict=False,
        json_schema_extra={"pattern": patterns.RUN_AT},
    ),
    BeforeValidator(require_rfc3339),  # pydantic would take a Unix time as well, even as text
]


class NewWebhook(BaseModel):
    """Where the job's end is to be told; `docs/webhooks.md` says how."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Annotated[
        str,
        Field(
            max_length=patterns.MAX_WEBHOOK_URL,
            description="Gets a signed POST, after the Standard Webhooks specification.",
            examples=["https://example.org/hooks/8f3e2a41"],
            json_schema_extra={"pattern": patterns.WEBHOOK_URL},
        ),
    ]
    events: Annotated[
        list[Literal["completed", "failed", "cancelled"]],
        Field(
            min_length=1,
            max_length=3,
            description="In which of these statuses the end is told; by default in any.",
        ),
    ] = ["completed", "failed", "cancelled"]


class Submission(BaseModel):
    """What to run, with what, when and how."""

    model_config = ConfigDict(extra="forbid", strict=True)

    task: Annotated[
        str,
        Field(
            min_length=1,
            description="The name of a task, as `GET /tasks` lists them; a copy may do without.",
        ),
    ] = ""
    params: Annotated[
        dict[str, Any], Field(default_factory=dict, description="The task's parameters by name.")
    ]
    copy_of: Annotated[
        UUID | None,
        Field(
            strict=False,
            description="An earlier job, whose task and params count where none are given.",
        ),
    ] = None
    priority: Annotated[
        int | None,
        Field(
            ge=-(1 << 31),
            lt=1 << 31,
            description="Higher first; by default the task's own, which is usually 0.",
        ),
    ] = None
    delay: Annotated[
        Seconds | None, Field(description="Seconds before the job is due; or give `run_at`.")
    ] = None
    run_at: Annotated[
        Time | None,
        Field(description="The time when the job is due, with its UTC offset; or give `delay`."),
    ] = None
    start_within: Annotated[
        Seconds | None,
        Field(
            description="Seconds past its due time after which the job fails with "
            "`not-started-in-time` rather than start.",
        ),
    ] = None
    timeout: Annotated[
        float | None,
        Field(
            gt=0,
            le=MAX_DELAY,
            description="Seconds one attempt may take; at most, and by default, the task's own.",
        ),
    ] = None
    labels: Annotated[
        Labels,
        Field(
            default_factory=dict,
            description="Names and values of the caller's own, kept with the job.",
        ),
    ]
    webhook: Annotated[
        NewWebhook | None, Field(description="Who is told when the job has ended.")
    ] = None


def new_job(body: bytes, parsed: dict[str, Any], request: Request, caller: Caller) -> NewJob:
    """The submission in a body and its headers; raises `InvalidParams` or `Problem`."""
    wanted = {} if _is_plain(parsed) else _wanted(_envelope(body, parsed))
    key = idempotency_key(request)
    return NewJob(
        task=parsed.get("task", ""),
        params=_params(parsed),
        owner=caller.owner,
        copies_any=caller.sees is None,
        idempotency_key=key,
        fingerprint=None if key is None else _fingerprint(parsed, request),
        traceparent=_traceparent(request),
        **wanted,
    )


def addressed(new: NewJob, request: Request) -> NewJob:
    """The submission with the receiver of its webhook, if it has one; raises `InvalidParams`."""
    if new.webhook is None:
        return new
    receiver_of = state_of(request).receiver_of
    if receiver_of is None:
        raise InvalidParams([ParamError("/webhook", _NO_SECRET, "no_secret")])
    try:
        receiver = receiver_of(new.webhook.url)
    except ValueError as error:
        raise InvalidParams([ParamError("/webhook/url", str(error), "bad_receiver")]) from error
    return replace(new, webhook=replace(new.webhook, receiver=receiver))


def _is_plain(parsed: dict[str, Any]) -> bool:
    """Whether there is nothing but a task and its params: there is nothing to be checked then."""
    task = parsed.get("task")
    has_params = type(parsed.get("params")) is dict
    return type(task) is str and task != "" and len(parsed) == 1 + has_params


def _envelope(body: bytes, parsed: dict[str, Any]) -> Submission:
    """The envelope; raises `InvalidParams`.

    Read from the bytes only when it is refused: JSON's 5.0 is an integer too, Python's is none.
    """
    with contextlib.suppress(ValidationError):
        return Submission.model_validate(parsed)
    try:
        return validate_json(Submission, body)
    except ValidationError as error:
        raise InvalidParams(param_errors(error, "", parsed)) from error


def _wanted(envelope: Submission) -> dict[str, Any]:
    """What a caller may want beside the task and its params."""
    run_at = envelope.run_at
    return {
        "copy_of": envelope.copy_of,
        "priority": envelope.priority,
        "delay": envelope.delay,
        "run_at": None if run_at is None else round(run_at.timestamp() * 1000),
        "start_within": envelope.start_within,
        "timeout": envelope.timeout,
        "labels": envelope.labels,
        "webhook": _webhook(envelope.webhook),
    }


def _webhook(given: NewWebhook | None) -> Webhook | None:
    if given is None:
        return None
    return Webhook(given.url, "", tuple(Status(event) for event in dict.fromkeys(given.events)))


def _params(parsed: dict[str, Any]) -> bytes | None:
    params = parsed.get("params")
    if params is None:
        return None
    return to_json(params) if params else b"{}"


def idempotency_key(request: Request) -> str | None:
    """The key, unquoted; raises `Problem` when it is not a valid one."""
    lines = header_lines(request, b"idempotency-key")
    if not lines:
        return None
    key = lines[0].strip()
    if len(lines) > 1 or not _KEY.fullmatch(key):
        detail = "Idempotency-Key is 1 to 255 visible ASCII characters, sent once"
        raise Problem("invalid-idempotency-key", detail)
    return key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key


def _fingerprint(parsed: dict[str, Any], request: Request) -> bytes:
    """What two bodies share when they are the same JSON, whatever the order of their keys."""
    canonical = json.dumps(parsed, sort_keys=True, separators=(",", ":"))
    key = state_of(request).fingerprint_key
    return hashlib.blake2b(canonical.encode(), digest_size=16, key=key).digest()


def _traceparent(request: Request) -> str | None:
    """That of the request's own span, if there is one, else what it came with."""
    here = state_of(request).traceparent_here
    if here is not None:
        return here()
    value = header(request, b"traceparent").strip()
    return value if value and _TRACEPARENT.fullmatch(value) else None
