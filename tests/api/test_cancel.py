from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import Server


def cancel(client: httpx.Client, job: Any, prefer: str = "", **headers: str) -> httpx.Response:
    """The answer to a DELETE of the job."""
    return client.delete(job["links"]["self"], headers={"Prefer": prefer, **headers})


def pending(client: httpx.Client, **params: Any) -> Any:
    """A job that is due in an hour."""
    body = {"task": "count_runs", "params": params, "delay": 3600}
    return client.post("/jobs", json=body).json()


def test_a_pending_job_is_cancelled_at_once(client: httpx.Client, tmp_path: Path) -> None:
    """DELETE of a pending job is 200: it is cancelled, and it never starts."""
    job = pending(client, path=str(tmp_path / "runs"))
    answer = cancel(client, job)
    after = answer.json()
    assert (answer.status_code, after["status"], after["done"]) == (200, "cancelled", True)
    assert after["cancel_requested_at"] == after["finished_at"]
    assert (after["attempt"], after["attempts"], after["started_at"]) == (0, [], None)
    assert (after["result"], after["error"]) == (None, None)
    assert "retry-after" not in answer.headers


def test_a_running_job_stops_first(client: httpx.Client, server: Server, gate: Path) -> None:
    """DELETE of a running job is 202 with the cancel on record; the job ends cancelled."""
    job = server.running("clean_up", path=str(gate))
    answer = cancel(client, job)
    assert answer.status_code == 202
    assert answer.json()["cancel_requested_at"] is not None
    assert int(answer.headers["retry-after"]) >= 1
    gate.touch()
    after = server.job(job["id"], wait=10)
    assert (after["status"], after["result"], after["error"]) == ("cancelled", None, None)
    assert after["attempts"][0]["outcome"] == "cancelled"


def test_its_end_can_be_waited_for(client: httpx.Client, server: Server) -> None:
    """With `Prefer: wait=n` a running job that ends in time is 200."""
    answer = cancel(client, server.running("never_end"), "wait=10")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.headers["preference-applied"] == "wait=10"


def test_a_finished_job_stays_as_it_is(client: httpx.Client, server: Server) -> None:
    """DELETE of a finished job is 200 with the job unchanged, however often."""
    job = server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    for _ in range(2):
        answer = cancel(client, job)
        assert (answer.status_code, answer.json()) == (200, job)


def test_again_while_it_stops_is_202(client: httpx.Client, server: Server, gate: Path) -> None:
    """A second DELETE while the job is stopping is 202 and changes nothing."""
    job = server.running("ignore_cancel", path=str(gate))
    first, second = cancel(client, job), cancel(client, job)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert first.headers["etag"] == second.headers["etag"]


def test_a_coroutine_that_ignores_its_cancel_is_running(hasty: Server, gate: Path) -> None:
    """While it runs it is never called cancelled; when it returns it is, and the value is kept."""
    job = hasty.submit("ignore_cancel", path=str(gate))
    answer = cancel(hasty.client, job, "wait=50")
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert answer.json()["cancel_requested_at"] is not None
    gate.touch()
    while not (after := hasty.job(job["id"], wait=50))["done"]:
        pass
    assert (after["status"], after["result"]) == ("cancelled", "went on")


def test_a_coroutine_may_return_a_value(client: httpx.Client, server: Server) -> None:
    """What it returns after its cancel is its result."""
    job = server.running("return_when_cancelled", value=[1])
    after = cancel(client, job, "wait=10").json()
    assert (after["status"], after["result"], after["error"]) == ("cancelled", [1], None)


def test_a_failed_clean_up_is_its_error(client: httpx.Client, server: Server) -> None:
    """What it raises after its cancel is its error; it is cancelled all the same."""
    after = cancel(client, server.running("fail_when_cancelled"), "wait=10").json()
    assert (after["status"], after["result"]) == ("cancelled", None)
    assert after["error"] == {
        "type": "exception",
        "exception": "RuntimeError",
        "message": "could not clean up",
    }


@pytest.mark.parametrize("form", ["{}", '"other", {}', "*"])
@pytest.mark.parametrize("prefer", ["", "return=minimal"])
def test_if_match_lets_the_known_job_be_cancelled(
    client: httpx.Client, form: str, prefer: str
) -> None:
    """With the tag of the job as it is, of either form, DELETE goes ahead."""
    job = pending(client, path="never")
    tag = client.get(job["links"]["self"], headers={"Prefer": prefer}).headers["etag"]
    answer = cancel(client, job, **{"If-Match": form.format(tag)})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


def test_if_match_of_another_state_is_412(client: httpx.Client, server: Server, gate: Path) -> None:
    """With a tag that is not the job's, DELETE is 412 and changes nothing."""
    job = server.running("wait_for_file", path=str(gate))
    answer = cancel(client, job, **{"If-Match": '"0"'})
    assert (answer.status_code, answer.json()["type"]) == (412, "/problems/precondition-failed")
    assert answer.json()["job"] == job["links"]["self"]
    assert server.job(job["id"])["cancel_requested_at"] is None


def test_if_match_is_for_finished_jobs_too(client: httpx.Client, server: Server) -> None:
    """Who must know that it was this DELETE that ended the job is told when it was not."""
    job = server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    assert cancel(client, job, **{"If-Match": '"0"'}).status_code == 412


def test_minimal_leaves_the_large_parts_out(client: httpx.Client) -> None:
    """`return=minimal` is applied to DELETE as well."""
    answer = cancel(client, pending(client, path="never"), "return=minimal")
    assert not answer.json().keys() & {"params", "result", "attempts", "webhook"}
