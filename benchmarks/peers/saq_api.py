"""FastAPI with SAQ on Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from saq import Status

from benchmarks.peers.models import Job, Submission
from benchmarks.peers.saq_jobs import queue


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold the queue's connections."""
    await queue.connect()
    yield
    await queue.disconnect()


app = FastAPI(lifespan=lifespan)


@app.post("/jobs", status_code=202)
async def submit(submission: Submission) -> Job:
    """Take a job."""
    job = await queue.enqueue(submission.task, **submission.params)
    assert job is not None  # its key is new
    return Job(id=job.key, status=job.status)


@app.get("/jobs/{job_id}")
async def get(job_id: str) -> Job:
    """Show a job."""
    job = await queue.job(job_id)
    if job is None:
        raise HTTPException(404)
    return Job(id=job.key, status=job.status, done=job.status == Status.COMPLETE, result=job.result)
