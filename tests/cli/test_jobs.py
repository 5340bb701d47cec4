import json
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.cli.jobs import lines_of
from app.client import JobEvent, JobHandle, LogLine
from app.keys import SUBMIT, KeyFile
from tests.cli.conftest import TASKS, Awaitd
from tests.support.command import finish, start
from tests.support.gates import open_gate
from tests.support.server import Server

ABSENT = "ffffffff-ffff-7fff-bfff-ffffffffffff"


def ended(server: Server, task: str, **params: Any) -> str:
    """The id of a job that has ended."""
    job_id: str = server.submit(task, **params)["id"]
    assert server.job(job_id, wait=10)["done"]
    return job_id


def test_ls(awaitd: Awaitd, jobs: Server) -> None:
    """Jobs are listed newest first: a table with headings, one JSON text, or one a line."""
    label = {"mark": "ls"}
    body = {"task": "echo", "params": {"value": "\x1b[2J"}, "labels": label}
    ids = [jobs.client.post("/jobs", json=body).json()["id"] for _ in range(3)][::-1]
    arguments = ("ls", "--label", "mark=ls")
    table = awaitd(*arguments).stdout.splitlines()
    assert table[0].split() == ["id", "task", "status", "created_at", "finished_at", "labels"]
    assert [line.split()[0] for line in table[1:]] == ids
    assert len({line.index("echo") for line in table[1:]}) == 1
    whole = awaitd(*arguments, "--output", "json").stdout
    assert [job["id"] for job in json.loads(whole)] == ids
    lines = awaitd(*arguments, "-o", "jsonl", "--limit", "2").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids[:2]


def test_ls_by_status_and_task(awaitd: Awaitd, jobs: Server) -> None:
    """Filters may be repeated; what is no status is wrong use."""
    failed, echoed = ended(jobs, "fail", message="x"), ended(jobs, "echo", value=1)
    some = awaitd("ls", "--status", "failed", "--status", "completed", "--task", "echo")
    assert echoed in some.stdout
    assert failed not in some.stdout
    assert failed in awaitd("ls", "--status", "failed", "-n", "500").stdout
    wrong = awaitd("ls", "--status", "done")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "status is one of" in wrong.stderr
    assert awaitd("ls", "--limit", "0").exit_code == 2


def test_nothing_to_list(awaitd: Awaitd) -> None:
    """Nothing is a heading, an empty list, or no line at all."""
    arguments = ("ls", "--label", "mark=nothing", "--output")
    assert awaitd(*arguments, "table").stdout.count("\n") == 1
    assert json.loads(awaitd(*arguments, "json").stdout) == []
    assert awaitd(*arguments, "jsonl").stdout == ""


def test_show(awaitd: Awaitd, jobs: Server) -> None:
    """All that is known of a job: a line for each member, or the server's JSON."""
    job_id = ended(jobs, "echo", value={"text": "\x1b]0;title\x07"})
    table = awaitd("show", job_id).stdout
    assert f"id                   {job_id}\n" in table
    assert "\x1b" not in table
    for output in ("json", "jsonl"):
        shown = awaitd("show", job_id, "--output", output).stdout
        assert json.loads(shown) == jobs.job(job_id)
    assert shown.count("\n") == 1


def test_result(awaitd: Awaitd, jobs: Server, gate: Path) -> None:
    """A result is JSON on stdout; none, and none yet, are exit 1 and why."""
    assert awaitd("result", ended(jobs, "echo", value=[2**64 - 1])).stdout == (
        "[\n  18446744073709551615\n]\n"
    )
    assert awaitd("result", ended(jobs, "echo", value=None)).stdout == "null\n"
    failed = awaitd("result", ended(jobs, "fail", message="out of paper"))
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr == "awaitd: the job failed: RuntimeError: out of paper\n"
    running = jobs.submit("wait_for_file", path=str(gate))["id"]
    not_yet = awaitd("result", running)
    assert (not_yet.exit_code, not_yet.stdout) == (1, "")
    assert not_yet.stderr == "awaitd: the job is running: it has no result yet\n"
    jobs.client.delete(f"/jobs/{running}", headers={"Prefer": "wait=10"})
    cancelled = awaitd("result", running)
    assert (cancelled.exit_code, cancelled.stdout) == (1, "")
    assert "cancelled: it has no result" in cancelled.stderr


def test_cancel(awaitd: Awaitd, jobs: Server, gate: Path) -> None:
    """Cancel says what became of it, and prints nothing; it is right to cancel what has ended."""
    stubborn = jobs.submit("ignore_cancel", path=str(gate))["id"]
    for job_id, said in (
        (stubborn, "the job is stopping"),
        (stubborn, "the job is stopping already"),
        (ended(jobs, "echo", value=1), "the job is completed already"),
    ):
        ran = awaitd("cancel", job_id)
        assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "", f"awaitd: {said}\n")
    assert jobs.job(stubborn)["cancel_requested_at"] is not None


def test_redeliver(awaitd: Awaitd, jobs: Server) -> None:
    """It names the event that is told again, or says why nothing is."""
    webhook = {"url": "https://receiver.invalid/"}
    body = {"task": "echo", "params": {"value": 1}, "webhook": webhook}
    job = jobs.client.post("/jobs", json=body, headers={"Prefer": "wait=20"}).json()
    ran = awaitd("redeliver", job["id"])
    said = (
        f"awaitd: it is told again, with the webhook-id job_{job['id'].replace('-', '')}_completed"
    )
    assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "", f"{said}\n")
    ran = awaitd("redeliver", ended(jobs, "echo", value=1))
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr == "awaitd: the job has no webhook\n"


def test_logs(awaitd: Awaitd, jobs: Server) -> None:
    """Each line has its time, attempt and message; JSON as the server has it."""
    job_id = ended(jobs, "write_lines", count=2)
    lines = awaitd("logs", job_id).stdout.splitlines()
    assert [line.split("  ")[1:] for line in lines] == [["1", "line 0"], ["1", "line 1"]]
    items = jobs.client.get(f"/jobs/{job_id}/logs").json()["items"]
    assert json.loads(awaitd("logs", job_id, "--output", "json").stdout) == items
    followed = awaitd("logs", "-f", job_id, "--output", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in followed] == items
    wrong = awaitd("logs", "-f", job_id, "--output", "json")
    assert (wrong.exit_code, wrong.stdout) == (2, "")


def test_following_logs(jobs: Server, tmp_path: Path) -> None:
    """Lines that are there come first, then those that come, each once, to the job's end."""
    one, two = tmp_path / "one", tmp_path / "two"
    job_id = jobs.submit("write_when_told", paths=[str(one), str(two)])["id"]
    open_gate(one)
    while not jobs.client.get(f"/jobs/{job_id}/logs").json()["items"]:
        pass
    process = start("logs", "--follow", job_id, folder=tmp_path, AWAITD_URL=jobs.url)
    assert process.stdout is not None
    first = process.stdout.readline()
    open_gate(two)
    ended = finish(process)
    assert [line.split()[-1] for line in [first, *ended.stdout.splitlines()]] == ["one", "two"]
    assert (ended.returncode, ended.stderr) == (0, "")


class EndsMeanwhile(JobHandle):
    """A job that writes on, and ends, between a look at its log and the opening of its stream."""

    def __init__(self) -> None:
        self._looks = [["a", "b", "b"], ["a", "b", "b", "c"]]

    def logs(self) -> list[LogLine]:
        now = datetime(2027, 1, 1, tzinfo=UTC)
        return [LogLine(now, message, 1) for message in self._looks.pop(0)]

    def events(self) -> Generator[JobEvent, None, None]:
        yield JobEvent(kind="done")


def test_no_line_is_lost_at_the_end() -> None:
    """What is written between the first look and the end is told, and equal lines are not lost."""
    assert [line.message for line in lines_of(EndsMeanwhile())] == ["a", "b", "b", "c"]


def test_tasks(awaitd: Awaitd, jobs: Server) -> None:
    """What can be run, with what it does."""
    lines = awaitd("tasks").stdout.splitlines()
    assert lines[0].split() == ["name", "timeout", "max_attempts", "summary"]
    assert any(line.startswith("echo ") and "Returns the value" in line for line in lines)
    listed = json.loads(awaitd("tasks", "--output", "json").stdout)
    assert listed == jobs.client.get("/tasks").json()["items"]


@pytest.mark.parametrize("command", ["show", "logs", "result", "cancel", "again"])
@pytest.mark.parametrize("job_id", [ABSENT, "nonsense", "../tasks"])
def test_no_such_job_is_1(awaitd: Awaitd, command: str, job_id: str) -> None:
    """A job that is not there is exit 1, with nothing on stdout."""
    ran = awaitd(command, job_id)
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"awaitd: there is no job {job_id}")


def test_keys(tmp_path: Path, awaitd: Awaitd, jobs: Server) -> None:
    """AWAITD_API_KEY is sent; none, one for something else, and what is no key, are told apart."""
    key = KeyFile(tmp_path / "data").add("anna", (SUBMIT,))
    with Server(tmp_path, AWAITD_TASKS=TASKS) as server:
        assert awaitd("tasks", AWAITD_URL=server.url).exit_code == 1
        assert awaitd("tasks", AWAITD_URL=server.url, AWAITD_API_KEY=key).exit_code == 0
        forbidden = awaitd("ls", AWAITD_URL=server.url, AWAITD_API_KEY=key)
        assert (forbidden.exit_code, "not for read" in forbidden.stderr) == (1, True)
        none = awaitd("ls", AWAITD_URL=server.url, AWAITD_API_KEY=f"{key}\u00a0")
        assert (none.exit_code, key in none.stderr) == (2, False)


def test_demo(awaitd: Awaitd, jobs: Server) -> None:
    """A server is filled with jobs that have labels, fail, wait, run, and are cancelled."""
    ran = awaitd("demo", "--count", "9", "--output", "jsonl")
    assert (ran.exit_code, ran.stderr) == (0, "")
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    found = [jobs.job(row["id"], wait=1 if "time" in row["what"] else 0) for row in rows]
    assert len(found) == 9
    assert {job["task"] for job in found} == {"echo", "count_primes", "fail", "sleep"}
    assert all(job["labels"]["demo"] for job in found)
    by_what = dict(zip((row["what"] for row in rows), found, strict=True))
    assert by_what["is due in a minute"]["status"] == "pending"
    assert by_what["runs for 20 s"]["status"] == "running"
    assert by_what["fails"]["error"]["message"] == "out of paper"
    assert by_what["is cancelled before it starts"]["attempt"] == 0
    assert by_what["is cancelled while it runs"]["cancel_requested_at"]
    for job in found:
        jobs.client.delete(f"/jobs/{job['id']}")


def test_demo_without_its_tasks(awaitd: Awaitd, tmp_path: Path) -> None:
    """A server that has none of its tasks is left alone: exit 1."""
    with Server(tmp_path, AWAITD_TASKS="tests.client.tasks") as server:
        ran = awaitd("demo", AWAITD_URL=server.url)
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "none of the tasks that ship" in ran.stderr


def test_a_list_longer_than_can_be(awaitd: Awaitd) -> None:
    """A limit beyond what can be counted is wrong use."""
    ran = awaitd("ls", "--limit", "9" * 30)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "--limit" in ran.stderr
