from typing import Any
from uuid import UUID

import pytest

from tests.support.server import Server


@pytest.mark.parametrize("name", ["created_after", "created_before"])
@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"])
def test_a_list_may_be_of_any_time(server: Server, name: str, time: str) -> None:
    """Times before and after those that an id can carry are times like others."""
    answer = server.client.get("/jobs", params={name: time})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("times", "status"), [(50, 200), (51, 400)])
def test_each_filter_may_be_given_50_times(server: Server, times: int, status: int) -> None:
    """How often the others are given does not count."""
    answer = server.client.get("/jobs", params={"task": ["a"] * times, "label": ["a:b"] * 50})
    assert answer.status_code == status


def _check(server: Server, **body: Any) -> Any:
    """What is wrong with a submission: the problem, None for nothing."""
    answer = server.client.post("/jobs", params={"validate_only": "true"}, json=body)
    return None if answer.status_code == 204 else answer.json()


PRIMES = {"task": "count_primes", "params": {"limit": 10}}


@pytest.mark.parametrize(
    "different",
    [{"params": {"limit": 10.0}}, {"priority": 3.0}, {"priority": None, "timeout": 60}],
)
def test_what_the_document_allows_is_accepted(server: Server, different: dict[str, Any]) -> None:
    """In JSON 10.0 is an integer; null is as good as nothing."""
    assert _check(server, **PRIMES | different) is None


@pytest.mark.parametrize(
    ("different", "pointer"),
    [
        ({"params": {"limit": "10"}}, "/params/limit"),
        ({"params": {"limit": True}}, "/params/limit"),
        ({"params": {"limit": 10.5}}, "/params/limit"),
        ({"priority": 0.5}, "/priority"),
        ({"timeout": 60.5}, "/timeout"),
        ({"task": ""}, "/task"),
        ({"run_at": "9999-01-02T00:00:00Z"}, "/run_at"),
        ({"delay": 1, "run_at": "2027-01-01T00:00:00Z"}, "/run_at"),
    ],
)
def test_what_the_document_forbids_is_refused(
    server: Server, different: dict[str, Any], pointer: str
) -> None:
    """Nothing is converted, and each problem leads to what is wrong."""
    problem = _check(server, **PRIMES | different)
    assert problem["type"] == "/problems/invalid-params"
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_copy_of_no_job_is_not_found(server: Server) -> None:
    """The id of a job leads to the same problem wherever it stands."""
    problem = _check(server, copy_of=str(UUID(int=7)))
    assert (problem["status"], problem["type"]) == (404, "/problems/job-not-found")


@pytest.mark.parametrize(
    ("key", "status"),
    [('"', 204), ('"a', 204), ('"a"', 204), ('""', 400), ("a" * 255, 204), ("a" * 256, 400)],
)
def test_keys_are_as_the_document_says(server: Server, key: str, status: int) -> None:
    """Bare or in quotes, but not empty."""
    params, headers = {"validate_only": "true"}, {"Idempotency-Key": key}
    answer = server.client.post("/jobs", params=params, json=PRIMES, headers=headers)
    assert answer.status_code == status
