import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gates import open_gate
from tests.support.server import Server

NEVER = "00000000-0000-7000-8000-000000000000"


def finished(server: Server) -> Any:
    """A job that has completed."""
    job = server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    assert job["done"]
    return job


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and slug of an answer."""
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


def test_a_job_is_its_own_monitor(server: Server, client: httpx.Client, gate: Path) -> None:
    """GET answers 200 whatever the status, with Retry-After until the job is done."""
    path = server.running("wait_for_file", path=str(gate))["links"]["self"]
    running = client.get(path)
    assert (running.status_code, running.json()["status"]) == (200, "running")
    assert int(running.headers["retry-after"]) >= 1
    open_gate(gate, "now")
    ended = client.get(path, headers={"Prefer": "wait=10"})
    assert (ended.status_code, ended.json()["status"]) == (200, "completed")
    assert ended.json()["result"] == "now"
    assert "retry-after" not in ended.headers


def test_a_finished_job_says_when_it_was_what(server: Server) -> None:
    """A finished job has its attempt, its end, and the time when it may be removed."""
    job = finished(server)
    (attempt,) = job["attempts"]
    assert attempt == {
        "number": 1,
        "started_at": job["started_at"],
        "finished_at": job["finished_at"],
        "outcome": "completed",
        "error": None,
    }
    assert job["created_at"] <= job["started_at"] <= job["finished_at"] < job["expires_at"]
    assert job["done"] is True


def test_a_failed_job_has_its_error(client: httpx.Client, server: Server) -> None:
    """The error has its type, the class of the exception and its text; no traceback."""
    path = server.submit("fail", message="out of paper")["links"]["self"]
    answer = client.get(path, headers={"Prefer": "wait=10"})
    job = answer.json()
    assert (job["status"], job["done"], job["result"]) == ("failed", True, None)
    assert job["error"] == {
        "type": "exception",
        "exception": "RuntimeError",
        "message": "out of paper",
    }
    assert job["attempts"][0]["error"] == job["error"]
    assert "basics.py" not in answer.text


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"task": "return_text_as_number"}, "bad-result"),
        ({"task": "sleep", "params": {"seconds": 60}, "timeout": 0.05}, "timeout"),
    ],
)
def test_an_error_has_its_type(client: httpx.Client, body: dict[str, Any], error: str) -> None:
    """A result of the wrong type and a timeout are told apart from exceptions."""
    job = client.post("/jobs", json=body, headers={"Prefer": "wait=10"}).json()
    assert (job["status"], job["error"]["type"]) == ("failed", error)


def test_progress_is_shown(client: httpx.Client, server: Server, gate: Path) -> None:
    """What a running coroutine reports is on the job, and its ETag does not change with it."""
    submitted = server.running("report_progress", path=str(gate))
    job = submitted
    while job["progress"] is None:
        answer = client.get(submitted["links"]["self"])
        job = answer.json()
    assert job["progress"] == {"fraction": 0.5, "message": "half way"}


@pytest.mark.parametrize("path", ["/jobs/{}", "/jobs/{}/result"])
@pytest.mark.parametrize(
    "job_id",
    [
        NEVER,
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "1",
        "null",
        "%00",
        "%ff",
        "%2e%2e",
        "é",
        "x" * 5_000,
        "urn:uuid:" + NEVER,
        "{" + NEVER + "}",
        NEVER.replace("-", ""),
        " " + NEVER,
        NEVER.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}"),
        NEVER[:-1] + "_",
    ],
)
def test_an_unknown_id_is_404(client: httpx.Client, path: str, job_id: str) -> None:
    """An id that was never given out, or is no UUID, is `job-not-found`."""
    assert problem_of(client.get(path.format(job_id))) == (404, "job-not-found")
    assert problem_of(client.delete("/jobs/" + job_id)) == (404, "job-not-found")


@pytest.mark.parametrize("form", ["urn:uuid:{}", "{{{}}}", "{} ", "%20{}", "{}%00"])
def test_an_id_has_one_spelling(client: httpx.Client, server: Server, form: str) -> None:
    """What else Python would take for a UUID finds no job."""
    job_id = finished(server)["id"]
    for spelling in (form.format(job_id), job_id.replace("-", "")):
        assert problem_of(client.get("/jobs/" + spelling)) == (404, "job-not-found")


def test_an_id_may_be_in_capitals(client: httpx.Client, server: Server) -> None:
    """Hexadecimal digits are the same in either case; links have the small ones."""
    job = finished(server)
    answer = client.get("/jobs/" + job["id"].upper())
    assert answer.json() == job


@pytest.mark.parametrize("path", ["/jobs/{}/", "/jobs/{}/nothing", "/jobs//{}", "/job/{}"])
def test_other_paths_lead_nowhere(client: httpx.Client, server: Server, path: str) -> None:
    """A trailing slash or a misspelt path is `not-found`: nothing redirects."""
    answer = client.get(path.format(finished(server)["id"]))
    assert problem_of(answer) == (404, "not-found")


def test_unknown_query_names_are_400(client: httpx.Client, server: Server) -> None:
    """The job, its result and its cancel know no query parameters."""
    path = finished(server)["links"]["self"]
    assert problem_of(client.get(path + "?wait=1")) == (400, "invalid-parameter")
    assert problem_of(client.get(path + "/result?raw")) == (400, "invalid-parameter")
    assert problem_of(client.delete(path + "?force=1")) == (400, "invalid-parameter")


def test_the_same_tag_is_304(client: httpx.Client, server: Server) -> None:
    """With its ETag an unchanged job is 304 without a body, with the headers of a 200."""
    path = finished(server)["links"]["self"]
    first = client.get(path)
    for form in ("{}", "W/{}", '"other", {}', "*"):
        again = client.get(path, headers={"If-None-Match": form.format(first.headers["etag"])})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("etag", "cache-control", "vary"):
            assert again.headers[name] == first.headers[name]


def test_another_tag_is_200(client: httpx.Client, server: Server) -> None:
    """A tag of another state gets the job."""
    path = finished(server)["links"]["self"]
    assert client.get(path, headers={"If-None-Match": '"0"'}).status_code == 200
    assert client.get(path, headers={"If-None-Match": ""}).status_code == 200


def test_both_forms_have_their_own_tag(client: httpx.Client, server: Server) -> None:
    """The tag of the full form is not that of the minimal one."""
    path = finished(server)["links"]["self"]
    full = client.get(path).headers["etag"]
    small = client.get(path, headers={"Prefer": "return=minimal"}).headers["etag"]
    assert full != small
    assert client.get(path, headers={"If-None-Match": small}).status_code == 200
    headers = {"If-None-Match": small, "Prefer": "return=minimal"}
    assert client.get(path, headers=headers).status_code == 304


def test_tags_on_several_lines_count(client: httpx.Client, server: Server) -> None:
    """`If-None-Match` may come on several lines."""
    path = finished(server)["links"]["self"]
    tag = client.get(path).headers["etag"]
    lines = [("If-None-Match", '"other"'), ("If-None-Match", tag)]
    assert client.get(path, headers=lines).status_code == 304


def test_a_long_poll_runs_out_with_304(hasty: Server, gate: Path) -> None:
    """With its tag and `wait` an unchanged job is waited for, then 304."""
    path = hasty.submit("wait_for_file", path=str(gate))["links"]["self"]
    tag = hasty.client.get(path).headers["etag"]
    began = time.monotonic()
    answer = hasty.client.get(path, headers={"If-None-Match": tag, "Prefer": "wait=50"})
    assert answer.status_code == 304
    assert answer.headers["preference-applied"] == "wait=0.1"
    assert 0.1 <= time.monotonic() - began < 10


def test_a_long_poll_ends_with_the_change(
    client: httpx.Client, server: Server, gate: Path, tmp_path: Path
) -> None:
    """With its tag and `wait` a job is answered as soon as it changes, though it is not done."""
    job = server.running("ignore_cancel", path=str(gate))
    path = job["links"]["self"]
    tag = client.get(path).headers["etag"]
    threading.Timer(0.1, lambda: httpx.delete(server.url + path, verify=False)).start()
    began = time.monotonic()
    answer = client.get(path, headers={"If-None-Match": tag, "Prefer": "wait=10"})
    assert time.monotonic() - began < 5
    assert answer.status_code == 200
    assert answer.json()["cancel_requested_at"] is not None
    assert not answer.json()["done"]


def test_a_long_poll_with_an_old_tag_ends_at_once(
    client: httpx.Client, server: Server, gate: Path
) -> None:
    """A job that has changed since the tag is not waited for: that is the change."""
    path = server.running("wait_for_file", path=str(gate))["links"]["self"]
    began = time.monotonic()
    answer = client.get(path, headers={"If-None-Match": '"0"', "Prefer": "wait=10"})
    assert (answer.status_code, answer.json()["done"]) == (200, False)
    assert time.monotonic() - began < 5


def test_wait_runs_out_with_200(hasty: Server, gate: Path) -> None:
    """Without a tag a wait that runs out is 200 with the job as it stands."""
    path = hasty.submit("wait_for_file", path=str(gate))["links"]["self"]
    answer = hasty.client.get(path, headers={"Prefer": "wait=50"})
    assert (answer.status_code, answer.json()["status"]) == (200, "running")
