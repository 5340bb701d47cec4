from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import Server


def result_of(client: httpx.Client, job: Any, prefer: str = "") -> httpx.Response:
    """The answer to a GET of the job's result."""
    return client.get(job["links"]["result"], headers={"Prefer": prefer})


@pytest.mark.parametrize("value", [{"a": [1, 2.5]}, "text", 0, False, None, []])
def test_the_result_is_bare_json(client: httpx.Client, server: Server, value: Any) -> None:
    """The result of a completed job is 200 with the value itself, null included."""
    answer = result_of(client, server.submit("echo", value=value), "wait=10")
    assert (answer.status_code, answer.json()) == (200, value)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["job-status"] == "completed"
    assert answer.headers["preference-applied"] == "wait=10"
    assert answer.headers["cache-control"] == "private, no-cache"


def test_of_an_unfinished_job_it_is_409(hasty: Server, gate: Path) -> None:
    """Before the end there is no result yet, also when a wait has run out."""
    job = hasty.submit("wait_for_file", path=str(gate))
    for prefer in ("", "wait=50"):
        answer = result_of(hasty.client, job, prefer)
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (409, "/problems/job-not-finished")
        assert problem["job"] == job["links"]["self"]
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["job-status"] == "running"


def test_of_a_failed_job_it_is_424(client: httpx.Client, server: Server) -> None:
    """A failed job will never have one: 424 with the job's error."""
    job = server.submit("fail", message="out of paper")
    answer = result_of(client, job, "wait=10")
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (424, "/problems/job-failed")
    assert problem["error"] == {
        "type": "exception",
        "exception": "RuntimeError",
        "message": "out of paper",
    }
    assert problem["job"] == job["links"]["self"]
    assert answer.headers["job-status"] == "failed"
    assert "retry-after" not in answer.headers


def test_of_a_cancelled_job_it_is_424(client: httpx.Client, server: Server) -> None:
    """A job that was cancelled and returned nothing will never have one."""
    job = server.submit("never_end")
    client.delete(job["links"]["self"])
    answer = result_of(client, job, "wait=10")
    assert (answer.status_code, answer.json()["type"]) == (424, "/problems/job-cancelled")
    assert answer.json()["error"] is None
    assert answer.headers["job-status"] == "cancelled"


def test_of_a_cancelled_job_that_returned_a_value_it_is_200(
    client: httpx.Client, server: Server
) -> None:
    """What a coroutine returned after it caught its cancel is its result."""
    job = server.running("return_when_cancelled", value={"so far": 3})
    client.delete(job["links"]["self"])
    answer = result_of(client, job, "wait=10")
    assert (answer.status_code, answer.json()) == (200, {"so far": 3})
    assert answer.headers["job-status"] == "cancelled"


def test_null_of_a_cancelled_job_is_no_result(client: httpx.Client, server: Server) -> None:
    """A coroutine that returns None after its cancel has no result."""
    job = server.running("return_when_cancelled", value=None)
    client.delete(job["links"]["self"])
    assert result_of(client, job, "wait=10").status_code == 424


def test_it_has_one_form(client: httpx.Client, server: Server) -> None:
    """`return=minimal` is not applied to a result."""
    answer = result_of(client, server.submit("echo", value=1), "wait=10, return=minimal")
    assert (answer.status_code, answer.json()) == (200, 1)
    assert answer.headers["preference-applied"] == "wait=10"
