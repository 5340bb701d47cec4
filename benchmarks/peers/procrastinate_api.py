"""FastAPI with Procrastinate on PostgreSQL.

Procrastinate keeps no results: the job's status is all that there is to fetch.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from procrastinate.jobs import Status

from benchmarks.peers.models import Job, Submission
from benchmarks.peers.procrastinate_jobs import app as queue
from benchmarks.peers.procrastinate_jobs import noop


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold the pool of connections."""
    async with queue.open_async():
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/jobs", status_code=202)
async def submit(submission: Submission) -> Job:
    """Take a job."""
    job_id = await noop.defer_async(**submission.params)
    return Job(id=str(job_id), status="todo")


@app.get("/jobs/{job_id}")
async def get(job_id: int) -> Job:
    """Show a job."""
    status = await queue.job_manager.get_job_status_async(job_id)
    return Job(id=str(job_id), status=status.value, done=status is Status.SUCCEEDED)
