"""Runs a job with the client that openapi-python-client makes of openapi.json."""

import sys
from typing import TYPE_CHECKING
from uuid import UUID

from awaitd_client import Client
from awaitd_client.api.jobs import get_job, get_result, submit_job
from awaitd_client.models import Job, Labels, Problem, SleepParams, Status, SubmitSleep

if TYPE_CHECKING:  # submissions are typed task by task
    SubmitSleep(task="echo", params=SleepParams(seconds=1))  # type: ignore[arg-type]
    SubmitSleep(task="sleep", params=SleepParams(minutes=1))  # type: ignore[call-arg]


def main(url: str) -> None:
    """Submit a job, wait for it, and print its label and its result."""
    labels = Labels.from_dict({"order": "42"})
    body = SubmitSleep(task="sleep", params=SleepParams(seconds=0.1), labels=labels)
    with Client(base_url=url) as client:
        job = as_job(submit_job.sync(client=client, body=body))
        while not job.done:
            job = as_job(get_job.sync(job.id, client=client, prefer="wait=10"))
        assert job.status is Status.COMPLETED
        print(job.labels["order"], get_result.sync(job.id, client=client))
        missing = get_job.sync(UUID(int=7), client=client)
    assert isinstance(missing, Problem)
    print(missing.title)


def as_job(answer: object) -> Job:
    """The job in an answer that should be one."""
    assert isinstance(answer, Job), answer
    return answer


main(sys.argv[1])
