"""FastAPI with BackgroundTasks, and a dict that keeps the jobs."""

from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import JsonValue

from benchmarks.peers.models import Job, Submission

app = FastAPI()
jobs: dict[str, Job] = {}


async def noop() -> JsonValue:
    """Does nothing."""
    return None


async def run(job: Job) -> None:
    """Run a job after the answer has been sent."""
    job.result = await noop()
    job.status = "completed"
    job.done = True


@app.post("/jobs", status_code=202)
async def submit(submission: Submission, background: BackgroundTasks) -> Job:
    """Take a job."""
    job = Job(id=str(uuid4()), status="pending")
    jobs[job.id] = job
    background.add_task(run, job)
    return job


@app.get("/jobs/{job_id}")
async def get(job_id: str) -> Job:
    """Show a job."""
    if job_id not in jobs:
        raise HTTPException(404)
    return jobs[job_id]
