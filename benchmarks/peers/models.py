"""What every peer takes and gives over HTTP, in the shape that awaitd has."""

from typing import Literal

from pydantic import BaseModel, Field, JsonValue


class Submission(BaseModel):
    """A job to run."""

    task: Literal["noop"]
    params: dict[str, JsonValue] = Field(default_factory=dict)


class Job(BaseModel):
    """A job as a poller sees it."""

    id: str
    status: str
    done: bool = False
    result: JsonValue = None
