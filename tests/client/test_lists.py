import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.client import Filters, Options, Status


def test_pages(client: Any) -> None:
    """All jobs that fit come, newest first, over as many pages as it takes."""
    options = Options(labels={"mark": os.urandom(8).hex()})
    ids = [client.submit("echo", options, value=n).id for n in range(5)]
    listed = list(client.jobs(Filters(labels=options.labels), page_size=2))
    assert [job.id for job in listed] == ids[::-1]
    assert {job.params for job in listed} == {None}


def test_filters(client: Any) -> None:
    """Values of one filter are alternatives; different filters have to fit all."""
    options = Options(labels={"mark": os.urandom(8).hex()})
    for task, params in (("echo", {"value": 1}), ("fail", {"message": "x"})):
        with pytest.MonkeyPatch.context():
            job = client.submit(task, options, **params)
            client.job(job.id)
            list(job.events())
    delayed = client.submit("sleep", Options(delay=60, labels=options.labels), seconds=1)

    def found(**filters: Any) -> list[str]:
        return [job.task for job in client.jobs(Filters(labels=options.labels, **filters))]

    assert found() == ["sleep", "fail", "echo"]
    assert found(status="pending") == ["sleep"]
    assert found(status=[Status.FAILED, "completed"]) == ["fail", "echo"]
    assert found(task="echo", status="failed") == []
    assert found(task=("echo", "sleep")) == ["sleep", "echo"]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert found(created_after=tomorrow) == []
    assert found(created_before=tomorrow) == ["sleep", "fail", "echo"]
    assert delayed.cancel() is True


def test_options(client: Any) -> None:
    """Each option arrives as what it is."""
    due = datetime.now(UTC) + timedelta(hours=1)
    job = client.submit("sleep", Options(run_at=due, start_within=5, priority=-3), seconds=1)
    found = job.details()
    assert abs(found.run_at - due) < timedelta(milliseconds=2)
    assert (found.priority, found.timeout) == (-3, None)
    assert job.cancel() is True
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert client.submit("echo", Options(traceparent=trace, delay=0), value=1).wait() == 1


def test_tasks(client: Any) -> None:
    """What can be run, with schemas, an example and limits."""
    tasks = {task.name: task for task in client.tasks()}
    task = tasks["count_primes"]
    assert (task.timeout, task.max_attempts, task.max_running) == (60, 3, None)
    assert task.params_schema["required"] == ["limit"]
    assert task.result_schema["type"] == "integer"
    assert client.submit("count_primes", **{**task.example, "limit": 10}).wait() == 4
