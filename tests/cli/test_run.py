import json
from pathlib import Path

import pytest

from tests.cli.conftest import Awaitd
from tests.support.gates import open_gate
from tests.support.relay import Relay, response
from tests.support.server import Server

DEEP = "[" * 50_000 + "]" * 50_000


def test_a_submission_prints_the_id(awaitd: Awaitd, jobs: Server) -> None:
    """Without --wait it prints the job's id alone, and what is asked for arrives."""
    labels = ("--label", "order=42", "--label", "a=b=c")
    hook = ("--webhook", "https://example.org/hook")
    ran = awaitd("run", "sleep", "seconds=0", "--priority", 3, "--delay", 60, *labels, *hook)
    assert (ran.exit_code, ran.stderr) == (0, "")
    job = jobs.job(ran.stdout.strip())
    assert (job["task"], job["params"], job["priority"]) == ("sleep", {"seconds": 0}, 3)
    assert (job["status"], job["labels"]) == ("pending", {"order": "42", "a": "b=c"})
    assert job["webhook"]["url"] == "https://example.org/hook"
    assert awaitd("cancel", job["id"]).exit_code == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("18446744073709551615", 18446744073709551615),
        ("[1, 2]", [1, 2]),
        ('"1"', "1"),
        ("null", None),
        ("one two", "one two"),
        ("a=b", "a=b"),
        ("", ""),
        ("NaN", "NaN"),
        ("{", "{"),
        ("é\x9b\u202e", "é\x9b\u202e"),
    ],
)
def test_values_and_results(awaitd: Awaitd, text: str, value: object) -> None:
    """A value is JSON if it can be read as JSON, else text; the result is JSON on stdout."""
    ran = awaitd("run", "echo", f"value={text}", "--wait")
    assert ran.exit_code == 0
    assert json.loads(ran.stdout) == value
    assert ran.stdout.replace("\n", "").isprintable()
    assert ran.stderr.startswith("awaitd: job ")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "value"),
    [
        (("--params", '{"value": 1}'), None, 1),
        (("--params", "-"), '{"value": {"a": 2}}', {"a": 2}),
        (("value=3", "--params", '{"value": 1}'), None, 3),
    ],
)
def test_params_as_json(
    awaitd: Awaitd, arguments: tuple[str, ...], stdin: str | None, value: object
) -> None:
    """--params has them all, from stdin if it is -; single ones override."""
    ran = awaitd("run", "echo", *arguments, "--wait", input=stdin)
    assert (ran.exit_code, json.loads(ran.stdout)) == (0, value)


def test_the_same_key_is_the_same_job(awaitd: Awaitd) -> None:
    """With --key a command that is repeated finds its job."""
    first, second = (awaitd("run", "echo", "value=1", "--key", "once") for _ in range(2))
    assert first.stdout == second.stdout != ""
    reused = awaitd("run", "echo", "value=2", "--key", "once")
    assert (reused.exit_code, reused.stdout) == (2, "")


def test_a_failed_job_is_1(awaitd: Awaitd) -> None:
    """Why it failed is on stderr, with nothing on stdout; what cannot be seen is an escape."""
    ran = awaitd("run", "fail", "message=out of\x1b[31m paper", "--wait")
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "awaitd: the job failed: RuntimeError: out of\\x1b[31m paper\n" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("slep",), "there is no task 'slep'; did you mean sleep?"),
        (("sleep",), "/params/seconds"),
        (("sleep", "seconds=x"), "/params/seconds: Input should be a valid number"),
        (("sleep", "seconds=1", "--label", "a b=c"), "/labels"),
        (("sleep", "seconds=1", "--webhook", "ftp://example.org/"), "/webhook/url"),
        (("sleep", "seconds"), "'seconds' is no param, such as name=value"),
        (("sleep", "=1"), "is no param"),
        (("sleep", "seconds=1", "--label", "a"), "is no label"),
        (("sleep", "--params", "{"), "--params is no JSON"),
        (("sleep", "--params", "[]"), "--params is no object"),
        (("sleep", "--params", '{"seconds": NaN}'), "NaN is no JSON"),
        (("echo", "value=" + "[" * 50_000 + "]" * 50_000), "nested too deeply"),
        (
            ("echo", "--params", '{"value":' + "[" * 50_000 + "]" * 50_000 + "}"),
            "nested too deeply",
        ),
        (("echo", "value=" + "9" * 5000), "a number of 5000 digits does not fit into 64 bits"),
        (("echo", "value=18446744073709551616"), "does not fit into 64 bits"),
        (("echo", "value=1", "value=2"), "'value' is given twice"),
        (("echo", 'value={"a": 1, "a": 2}'), "'a' is given twice"),
        (("echo", "--params", '{"value": 1, "value": 2}'), "'value' is given twice"),
        (("echo", "value=1", "--label", "a=1", "--label", "a=2"), "'a' is given twice"),
        (("echo", "value=1", "--key", ""), "idempotency_key is ''"),
        (("sleep", "seconds=1", "--timeout", "1"), "--timeout limits the waiting"),
        (("sleep", "seconds=1", "--wait", "--timeout", "-1"), "--timeout"),
        ((), "TASK"),
        (("sleep", "--nonsense"), "--nonsense"),
    ],
)
def test_wrong_use_is_2(awaitd: Awaitd, arguments: tuple[str, ...], message: str) -> None:
    """Wrong use, an unknown task and params that do not fit: what is wrong, on stderr alone."""
    ran = awaitd("run", *arguments, TERMINAL_WIDTH="200")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert message in ran.stderr


@pytest.mark.parametrize(
    ("task", "values", "printed"),
    [("never_end", [], ""), ("return_when_cancelled", ['value="late"'], '"late"\n')],
)
def test_a_cancelled_job_is_3(
    awaitd: Awaitd, jobs: Server, task: str, values: list[str], printed: str
) -> None:
    """A job that was cancelled is exit 3; what its coroutine returned is printed."""
    job_id = awaitd("run", task, *values, "--key", task).stdout.strip()
    jobs.client.delete(f"/jobs/{job_id}")
    ran = awaitd("run", task, *values, "--key", task, "--wait")
    assert (ran.exit_code, ran.stdout) == (3, printed)
    assert "the job was cancelled" in ran.stderr


def test_waiting_long_enough_is_4(awaitd: Awaitd, jobs: Server, gate: Path) -> None:
    """--timeout limits the waiting: the job goes on, and how to get its result is said."""
    ran = awaitd("run", "wait_for_file", f"path={gate}", "--wait", "--timeout", "0.2")
    assert (ran.exit_code, ran.stdout) == (4, "")
    job_id = ran.stderr.split()[2]
    assert f"its result: awaitd result {job_id}" in ran.stderr
    assert jobs.job(job_id)["status"] == "running"
    open_gate(gate, "text")
    assert jobs.job(job_id, wait=10)["result"] == "text"


def test_again(awaitd: Awaitd, jobs: Server) -> None:
    """A copy is submitted, and waited for, as `run` does it."""
    first = awaitd("run", "echo", "value=7").stdout.strip()
    copy = awaitd("again", first)
    assert copy.exit_code == 0
    assert copy.stdout.strip() != first
    assert jobs.job(copy.stdout.strip(), wait=10)["result"] == 7
    waited = awaitd("again", first, "--wait")
    assert (waited.exit_code, waited.stdout) == (0, "7\n")


def test_a_server_that_is_busy(awaitd: Awaitd, jobs: Server) -> None:
    """A refusal that lasts is exit 1; one that passes is told of, and waited for."""
    full = response("429 Too Many Requests", b"{}", Retry_After="60")
    with Relay(jobs.url) as relay:
        relay.answers.extend([response("200 OK"), full])
        ran = awaitd("run", "echo", "value=1", AWAITD_URL=relay.url)
        assert (ran.exit_code, ran.stdout) == (1, "")
        assert "it answered 429" in ran.stderr
        relay.answers.extend([response("200 OK"), response("503 Unavailable", Retry_After="0")])
        ran = awaitd("run", "echo", "value=1", AWAITD_URL=relay.url)
        assert ran.exit_code == 0
        assert ran.stderr.endswith("; trying again\n")


@pytest.mark.parametrize("url", ["foo", "http://[::1", "http://127.0.0.1:99999", "http://:80"])
def test_an_address_that_is_none(awaitd: Awaitd, url: str) -> None:
    """It is wrong use, not a server that is not there."""
    ran = awaitd("tasks", AWAITD_URL=url)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert f"{url!r} is no URL of a server" in ran.stderr
