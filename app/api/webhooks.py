"""What webhooks tell, as the OpenAPI document shows it: requests that others answer."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Header
from pydantic import BaseModel, Field

from app.api import describe, schemas
from app.jobs.models import ErrorType
from app.jobs.webhooks import EVENTS
from app.scheduler import Status


class EndError(BaseModel):
    """Why the job failed."""

    type: ErrorType


class EndLinks(BaseModel):
    """Where the job and its result are."""

    self: str
    result: str


class EndedJob(BaseModel):
    """The job that has ended, without its params and its result."""

    id: UUID
    task: str
    status: Literal[Status.COMPLETED, Status.FAILED, Status.CANCELLED]
    attempt: Annotated[int, Field(ge=0)]
    error: EndError | None
    labels: Annotated[schemas.Labels | None, Field(description="Null where they would not fit.")]
    links: EndLinks


class JobEnded(BaseModel):
    """What is told of a job's end: the same in every attempt."""

    type: Literal["job.completed", "job.failed", "job.cancelled"]
    timestamp: Annotated[datetime, Field(description="When the job ended.")]
    data: EndedJob


_SUMMARIES: Final = {
    Status.COMPLETED: "A job has completed",
    Status.FAILED: "A job has failed",
    Status.CANCELLED: "A job was cancelled",
}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    204: {"description": "It has been taken, as after any 2xx."},
    410: {"description": "It is not to be told again."},
    "default": {"description": "It has not been taken, as without an answer: it is told again."},
}


async def tell(
    message: JobEnded,
    webhook_id: Annotated[
        str, Header(description="Names the event, and is the same in every attempt to tell it.")
    ],
    webhook_timestamp: Annotated[
        int, Header(description="When the attempt was made, in seconds since the Unix epoch.")
    ],
    webhook_signature: Annotated[
        str,
        Header(
            description="Signatures of the id, the timestamp and the body, after the Standard "
            "Webhooks specification: `v1,` and base64 each, with spaces between."
        ),
    ],
) -> None:
    """POSTed to the `webhook` of a job when it has ended so.

    Answer within 20 seconds. Check the signature over the bytes as they came, and do what is to be
    done once for each `webhook-id`.
    """
    raise NotImplementedError


def _described(event: Status) -> dict[str, Any]:
    example = {"$ref": f"#/components/examples/job.{event}"}
    body = {"content": {"application/json": {"examples": {event.value: example}}}}
    return {"requestBody": body, **describe.OPEN}


router = APIRouter()
for _event in EVENTS:
    router.add_api_route(
        f"job.{_event}",
        tell,
        methods=["POST"],
        operation_id=f"job_{_event}",
        summary=_SUMMARIES[_event],
        tags=["webhooks"],
        status_code=204,
        responses=_RESPONSES,
        openapi_extra=_described(_event),
    )
