import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import Server

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
LARGE = {"params", "result", "attempts", "webhook"}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def submit(client: httpx.Client, *, prefer: str = "", **body: Any) -> httpx.Response:
    """The answer to a submission of this body."""
    return client.post("/jobs", json=body, headers={"Prefer": prefer})


def pointers(answer: httpx.Response) -> list[str]:
    """What is wrong, in an answer that says that params are."""
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["type"] == "/problems/invalid-params"
    return [error["pointer"] for error in problem["errors"]]


def test_a_new_job_is_accepted_with_202(client: httpx.Client, gate: Path) -> None:
    """POST answers 202 with the job, where it is, and when to ask again."""
    answer = submit(client, task="wait_for_file", params={"path": str(gate)})
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Prefer, Authorization"
    assert re.fullmatch(r'"\d+"', answer.headers["etag"])
    assert "idempotent-replayed" not in answer.headers
    assert "preference-applied" not in answer.headers


def test_the_job_has_the_members_of_the_contract(server: Server, gate: Path) -> None:
    """The job has every documented member, in its documented form."""
    job = server.running("wait_for_file", path=str(gate))
    assert re.fullmatch(UUID7, job["id"])
    for name in ("created_at", "run_at", "started_at"):
        assert re.fullmatch(TIME, job.pop(name))
    assert re.fullmatch(TIME, job["attempts"][0].pop("started_at"))
    assert job == {
        "id": job["id"],
        "task": "wait_for_file",
        "status": "running",
        "done": False,
        "params": {"path": str(gate)},
        "result": None,
        "error": None,
        "progress": None,
        "labels": {},
        "priority": 0,
        "attempt": 1,
        "max_attempts": 1,
        "timeout": 60,
        "attempts": [{"number": 1, "finished_at": None, "outcome": None, "error": None}],
        "webhook": None,
        "finished_at": None,
        "expires_at": None,
        "cancel_requested_at": None,
        "links": {
            "self": f"/jobs/{job['id']}",
            "result": f"/jobs/{job['id']}/result",
            "events": f"/jobs/{job['id']}/events",
        },
    }


def test_waited_for_it_is_200_once_it_is_done(client: httpx.Client) -> None:
    """With `Prefer: wait=n` a job that ends in time is answered with 200 and its result."""
    answer = submit(client, task="echo", params={"value": 7}, prefer="wait=10")
    assert answer.status_code == 200
    assert answer.json()["result"] == 7
    assert answer.headers["preference-applied"] == "wait=10"
    assert "retry-after" not in answer.headers


def test_wait_runs_out_with_202(hasty: Server, gate: Path) -> None:
    """When the time runs out first, the answer is 202 with the job as it stands."""
    began = time.monotonic()
    answer = submit(
        hasty.client, task="wait_for_file", params={"path": str(gate)}, prefer="wait=50"
    )
    assert answer.status_code == 202
    assert answer.json()["status"] == "running"
    assert answer.headers["preference-applied"] == "wait=0.1"
    assert 0.1 <= time.monotonic() - began < 10


def test_a_failed_job_is_done_too(client: httpx.Client) -> None:
    """A job that fails while it is waited for is answered with 200: it is done."""
    answer = submit(client, task="fail", params={"message": "no"}, prefer="wait=10")
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")


def test_minimal_leaves_the_large_parts_out(client: httpx.Client) -> None:
    """`return=minimal` leaves out params, result, attempts and webhook, and nothing else."""
    full = submit(client, task="echo", params={"value": 1}, prefer="wait=10")
    small = submit(client, task="echo", params={"value": 1}, prefer="wait=10, return=minimal")
    assert full.json().keys() - small.json().keys() == LARGE
    assert small.headers["preference-applied"] == "wait=10, return=minimal"


def test_all_options_show_on_the_job(client: httpx.Client) -> None:
    """Priority, delay, timeout, labels and start_within are accepted and kept."""
    answer = submit(
        client,
        task="wait_for_file",
        params={"path": "never"},
        priority=-7,
        delay=3600,
        timeout=2.5,
        start_within=10,
        labels={"order": "42", "a/b.c_d-e": "ünï cödé 😀"},
    )
    job = answer.json()
    assert answer.status_code == 202
    assert (job["status"], job["attempt"], job["attempts"]) == ("pending", 0, [])
    assert (job["priority"], job["timeout"]) == (-7, 2.5)
    assert job["labels"] == {"order": "42", "a/b.c_d-e": "ünï cödé 😀"}
    assert job["started_at"] is None
    delay = datetime.fromisoformat(job["run_at"]) - datetime.fromisoformat(job["created_at"])
    assert delay == timedelta(hours=1)


@pytest.mark.parametrize(
    ("run_at", "shown"),
    [
        ("2999-01-31T09:30:00Z", "2999-01-31T09:30:00.000Z"),
        ("2999-01-31t09:30:00.25z", "2999-01-31T09:30:00.250Z"),
        ("2999-01-31 09:30:00+02:00", "2999-01-31T07:30:00.000Z"),
        ("9998-12-31T23:59:59.999Z", "9998-12-31T23:59:59.999Z"),
    ],
)
def test_run_at_is_a_time_with_its_offset(client: httpx.Client, run_at: str, shown: str) -> None:
    """`run_at` takes what RFC 3339 calls a time and shows it in UTC with milliseconds."""
    job = submit(client, task="echo", params={"value": 1}, run_at=run_at).json()
    assert (job["run_at"], job["status"]) == (shown, "pending")


@pytest.mark.parametrize(
    "run_at",
    [
        "tomorrow",
        "2999-01-31",
        "2999-01-31T09:30:00",
        "2999-01-31T09:30Z",
        "2999-02-30T09:30:00Z",
        "1795341600",
        1795341600,
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-12:00",
        True,
    ],
)
def test_run_at_refuses_everything_else(client: httpx.Client, run_at: Any) -> None:
    """Dates, local times, Unix times and what no clock shows are refused by name."""
    answer = submit(client, task="echo", params={"value": 1}, run_at=run_at)
    assert pointers(answer) == ["/run_at"]


def test_a_time_in_the_past_is_now(client: httpx.Client) -> None:
    """A job whose `run_at` has passed is due when it is submitted."""
    past = datetime.now(UTC) - timedelta(days=1)
    answer = submit(
        client, task="echo", params={"value": 1}, run_at=past.isoformat(), prefer="wait=10"
    )
    job = answer.json()
    assert job["status"] == "completed"
    assert job["run_at"] == job["created_at"]


def test_a_delayed_job_starts_when_it_is_due(client: httpx.Client) -> None:
    """A job with a `delay` is pending first and runs after it."""
    answer = submit(client, task="echo", params={"value": 1}, delay=0.05)
    assert answer.json()["status"] == "pending"
    job = client.get(answer.headers["location"], headers={"Prefer": "wait=10"}).json()
    assert job["status"] == "completed"
    assert job["started_at"] >= job["run_at"]


def test_params_default_to_none(client: httpx.Client) -> None:
    """Without `params` a task gets an empty object."""
    job = submit(client, task="never_end").json()
    assert job["params"] == {}
    client.delete(job["links"]["self"])


def test_unknown_task_is_422_with_close_matches(client: httpx.Client) -> None:
    """A task that is not there is a problem that names those that come close."""
    answer = submit(client, task="slep", params={})
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "/problems/unknown-task")
    assert problem["close"] == ["sleep"]
    assert "sleep" in problem["detail"]


def test_an_absurd_task_name_is_an_unknown_task(client: httpx.Client) -> None:
    """A name of any length and any characters is unknown, and the problem stays short."""
    answer = submit(client, task="\x00" + "x" * 100_000, params={})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unknown-task")
    assert len(answer.content) < 5_000


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["/params/seconds"]),
        ({"seconds": "soon"}, ["/params/seconds"]),
        ({"seconds": -1}, ["/params/seconds"]),
        ({"seconds": 1, "minutes": 1}, ["/params/minutes"]),
        ({"seconds": None, "a/b~c": 1}, ["/params/seconds", "/params/a~1b~0c"]),
        ([], ["/params"]),
        (None, ["/params"]),
    ],
)
def test_bad_params_are_422_with_pointers(
    client: httpx.Client, params: Any, expected: list[str]
) -> None:
    """Params that do not fit the task are listed, each with a JSON pointer into what was sent."""
    answer = submit(client, task="sleep", params=params)
    assert pointers(answer) == expected
    for error in answer.json()["errors"]:
        assert error.keys() == {"pointer", "detail", "code"}
        assert all(error.values())


def test_pointers_lead_into_nested_params(client: httpx.Client) -> None:
    """The pointer of a nested param names every step of the way."""
    answer = submit(client, task="place_order", params={"order": {"item": 7, "count": 0}})
    assert pointers(answer) == ["/params/order/item", "/params/order/count"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"task": 5}, ["/task"]),
        ({"task": None}, ["/task"]),
        ({"priority": "high"}, ["/priority"]),
        ({"priority": 1.5}, ["/priority"]),
        ({"priority": True}, ["/priority"]),
        ({"priority": 1 << 31}, ["/priority"]),
        ({"delay": -1}, ["/delay"]),
        ({"delay": "5"}, ["/delay"]),
        ({"delay": 1e10}, ["/delay"]),
        ({"timeout": 0}, ["/timeout"]),
        ({"start_within": -1}, ["/start_within"]),
        ({"labels": []}, ["/labels"]),
        ({"labels": {"a": 1}}, ["/labels/a"]),
        ({"labels": {"a": "line\nbreak"}}, ["/labels/a"]),
        ({"labels": {"a": "x" * 256}}, ["/labels/a"]),
        ({"labels": {str(n): "" for n in range(33)}}, ["/labels"]),
        ({"retries": 3}, ["/retries"]),
        ({"retries": 3, "colour": "red"}, ["/retries", "/colour"]),
    ],
)
def test_envelope_errors_are_422_with_pointers(
    client: httpx.Client, members: dict[str, Any], expected: list[str]
) -> None:
    """A wrong or unknown field of the submission itself is named by its pointer."""
    body: dict[str, Any] = {"task": "echo", "params": {"value": 1}, **members}
    assert pointers(submit(client, **body)) == expected


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 65, "a:b"])
def test_label_names_are_plain(client: httpx.Client, name: str) -> None:
    """The name of a label is 1 to 64 letters, digits, dots, slashes, dashes and underscores."""
    answer = submit(client, task="echo", params={"value": 1}, labels={name: "x"})
    assert pointers(answer) == [f"/labels/{name}"]


def test_a_task_is_required(client: httpx.Client) -> None:
    """A submission without a task is told so."""
    assert pointers(submit(client)) == ["/task"]


def test_delay_and_run_at_exclude_each_other(client: httpx.Client) -> None:
    """Both `delay` and `run_at` are a contradiction."""
    options: dict[str, Any] = {"delay": 1, "run_at": "2999-01-01T00:00:00Z"}
    answer = submit(client, task="echo", params={"value": 1}, **options)
    assert pointers(answer) == ["/run_at"]


def test_a_timeout_above_the_tasks_is_422(client: httpx.Client) -> None:
    """A submission may ask for less time than the task allows, not for more."""
    answer = submit(client, task="wait_for_file", params={"path": "never"}, timeout=61)
    assert pointers(answer) == ["/timeout"]


def test_envelope_and_params_are_checked_in_two_steps(client: httpx.Client) -> None:
    """What fits the envelope and not the task comes with all that is wrong with the params."""
    answer = submit(client, task="wait_for_file", params={"way": 1}, timeout=61)
    assert sorted(pointers(answer)) == ["/params/path", "/params/way", "/timeout"]


def test_input_is_not_echoed(client: httpx.Client) -> None:
    """What was sent stands in no problem: it may be a secret."""
    answer = submit(
        client, task="sleep", params={"seconds": "hunter2"}, labels={"a": "\x01hunter2"}
    )
    assert answer.status_code == 422
    assert "hunter2" not in answer.text
    answer = submit(client, task="sleep", params={"seconds": "hunter2"})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


def test_a_flood_of_errors_is_cut(client: httpx.Client) -> None:
    """However much is wrong, the problem stays short."""
    body: dict[str, Any] = {f"field_{n}": n for n in range(5_000)}
    answer = submit(client, **body)
    assert len(pointers(answer)) <= 100
    assert len(answer.content) < 50_000


def test_unknown_query_names_are_400(client: httpx.Client) -> None:
    """A query parameter that POST does not know is refused by name."""
    answer = client.post("/jobs?wait=5", json={"task": "echo", "params": {"value": 1}})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-parameter")
    assert "'wait'" in answer.json()["detail"]


def test_queue_full_is_429(start_server: Callable[..., Server], tmp_path: Path, gate: Path) -> None:
    """When too many wait, a submission is refused with depth and limit; running ones do not count.

    Those that wait start in the order of their priority.
    """
    server = start_server(
        AWAITD_TASKS="tests.support.tasks_for_tests", AWAITD_MAX_RUNNING="1", AWAITD_MAX_PENDING="3"
    )
    server.running("wait_for_file", path=str(gate))
    priorities_and_delay: list[dict[str, Any]] = [{}, {"priority": 5}, {"delay": 3600}]
    waiting = [
        submit(server.client, task="count_runs", params={"path": str(tmp_path / "runs")}, **options)
        for options in priorities_and_delay
    ]
    assert [answer.status_code for answer in waiting] == [202, 202, 202]
    answer = submit(server.client, task="never_end")
    assert (answer.status_code, answer.json()["type"]) == (429, "/problems/queue-full")
    assert (answer.json()["depth"], answer.json()["limit"]) == (3, 3)
    assert int(answer.headers["retry-after"]) >= 1
    gate.touch()
    low, high = (server.job(answer.json()["id"], wait=10) for answer in waiting[:2])
    assert (high["result"], low["result"]) == (1, 2)
