"""FastAPI with Celery on Redis.

Celery's client blocks, so the routes are plain functions, which FastAPI runs in threads.
"""

from celery.result import AsyncResult  # type: ignore[import-untyped]  # it has no types
from fastapi import FastAPI

from benchmarks.peers.celery_jobs import app as celery
from benchmarks.peers.celery_jobs import noop
from benchmarks.peers.models import Job, Submission

app = FastAPI()


@app.post("/jobs", status_code=202)
def submit(submission: Submission) -> Job:
    """Take a job."""
    return Job(id=noop.delay(**submission.params).id, status="PENDING")


@app.get("/jobs/{job_id}")
def get(job_id: str) -> Job:
    """Show a job; Celery does not tell an unknown one from one that waits."""
    job = AsyncResult(job_id, app=celery)
    done = job.ready()
    return Job(id=job_id, status=job.state, done=done, result=job.result if done else None)
