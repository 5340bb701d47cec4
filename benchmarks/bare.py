"""What HTTP costs anyway: a FastAPI service and a raw ASGI one that store and run nothing.

Run as `python -m benchmarks.bare fastapi|raw PORT`.
"""

import datetime
import sys
import uuid
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class NewJob(BaseModel):
    """The body model."""

    task: str
    params: dict[str, Any] = {}


class Job(BaseModel):
    """The response model: a third of the fields that a job of awaitd has."""

    id: uuid.UUID
    task: str
    status: str
    params: dict[str, Any]
    result: Any = None
    created_at: datetime.datetime


def ordinary() -> FastAPI:
    """As FastAPI's tutorial has it: a body model in, a response model out."""
    app = FastAPI()

    @app.post("/jobs", status_code=202)
    async def submit(new: NewJob) -> Job:
        return _job(uuid.uuid4(), new.task, new.params)

    @app.get("/jobs/{job_id}")
    async def get(job_id: uuid.UUID) -> Job:
        return _job(job_id, "noop", {})

    return app


async def raw(scope: Any, receive: Any, send: Any) -> None:
    """The least that an ASGI application can do: read the body, answer a fixed one."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def main() -> None:
    """Serve one of them on the same uvicorn, event loop and parser as awaitd."""
    kind, port = sys.argv[1:]
    uvicorn.run(
        ordinary() if kind == "fastapi" else raw,
        port=int(port),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        ws="none",
    )


def _job(job_id: uuid.UUID, task: str, params: dict[str, Any]) -> Job:
    now = datetime.datetime.now(datetime.UTC)
    return Job(id=job_id, task=task, status="running", params=params, created_at=now)


if __name__ == "__main__":
    main()
