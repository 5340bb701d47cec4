"""No task stops the service or another job, by what it raises, returns or does."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.gates import open_gate
from tests.support.server import ROOT, Server

TASKS = "tests.containment.tasks"
LEFT_BEHIND = "never awaited|never retrieved|Exception ignored"
"""What Python says of subtasks and coroutines that jobs leave behind."""

RAISED = {
    "SystemExit": "3",
    "KeyboardInterrupt": "",
    "GeneratorExit": "",
    "OwnExit": "",
    "StopAsyncIteration": "",
    "CancelledError": "",
    "ExceptionGroup": "some (2 sub-exceptions)",
    "BaseExceptionGroup": "some (2 sub-exceptions)",
    "Unspeakable": "(its text cannot be had: OwnExit)",
    "Numeric": "(its text cannot be had: TypeError)",
    "ExitsWhenShown": "(its text cannot be had: SystemExit)",
    "Classless": "",
    "Traceless": "",
    "Nameless": "",
}

NO_JSON = "the result is no JSON value "
ENDLESS = NO_JSON + "(an iterator)"
UNKNOWN = NO_JSON + "(PydanticSerializationError)"
RETURNED = {
    "64 MB": "the result is 64000002 bytes of JSON; the limit is 1048576",
    "1,000,000 numbers": "the result is 2000001 bytes of JSON; the limit is 1048576",
    "circle": NO_JSON + "(ValueError)",
    "100,000 levels": NO_JSON + "(ValueError)",
    "NaN": NO_JSON + "(ValueError)",
    "infinity": NO_JSON + "(ValueError)",
    "surrogate": NO_JSON + "(UnicodeEncodeError)",
    "10,000 digits": NO_JSON + "(ValueError)",
    "bytes": NO_JSON + "(UnicodeDecodeError)",
    "object": UNKNOWN,
    "class": UNKNOWN,
    "function": UNKNOWN,
    "exception": UNKNOWN,
    "broken": UNKNOWN,
    "key": UNKNOWN,
    "generator": ENDLESS,
    "endless iterator": ENDLESS,
    "endless iterator inside": ENDLESS,
    "async generator": UNKNOWN,
    "coroutine": UNKNOWN,
    "unwritable model": UNKNOWN,
    "exiting model": UNKNOWN,
}


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that outlives every test, and a job that runs all the time and is not disturbed."""
    folder = tmp_path_factory.mktemp("containment")
    path = str(ROOT)
    if request.param == "asyncio":
        (folder / "uvloop.py").write_text("raise ImportError")
        path = f"{folder}:{path}"
    settings = {
        "AWAITD_SHUTDOWN_GRACE": "0.1",
        "AWAITD_CANCEL_GRACE": "0.1",
        "PYTHONASYNCIODEBUG": "",  # it notes where each coroutine was made, which takes minutes
        "PYTHONPATH": path,
    }
    with Server(folder, expects=LEFT_BEHIND, AWAITD_TASKS=TASKS, **settings) as server:
        assert server.process is not None
        bystander = server.submit("wait_for", path=str(folder / "gate"))
        yield server
        assert server.process.poll() is None
        open_gate(folder / "gate")
        after = server.job(bystander["id"], wait=10)
        assert (after["result"], after["attempt"]) == (1, 1)
    assert server.process.returncode == 0


@pytest.fixture(autouse=True)
def _all_goes_on(server: Server) -> Iterator[None]:
    """After each test the server is ready, and the next job runs."""
    yield
    assert server.client.get("/readyz").status_code == 200
    assert server.submit("behave", headers={"Prefer": "wait=10"})["result"] == 1


def ended(server: Server, task: str, **params: Any) -> Any:
    """A job of that task once it has ended; whoever asks for it sees nothing of our insides."""
    job = server.job(server.submit(task, **params)["id"], wait=20)
    answers = [server.client.get(job["links"][kind]) for kind in ("self", "result", "events")]
    assert [answer.status_code for answer in answers] == [
        200, 200 if job["status"] == "completed" else 424, 200
    ]  # fmt: skip
    for answer in answers:
        assert not re.search(r"Traceback|File |\bat 0x|\.py", answer.text)
    return job


def failed(job: Any) -> tuple[str, str | None, str]:
    """Type, exception and message of the error of a failed job."""
    assert (job["status"], job["result"], job["attempt"]) == ("failed", None, 1)
    return job["error"]["type"], job["error"]["exception"], job["error"]["message"]


@pytest.mark.parametrize("what", RAISED)
def test_what_a_task_raises_is_its_error(server: Server, what: str) -> None:
    """Whatever it is, the job fails with its class and text, and nothing else happens."""
    assert failed(ended(server, "raise_it", what=what)) == ("exception", what, RAISED[what])


def test_a_task_may_raise_what_python_does_not_let_through(server: Server) -> None:
    """Python makes a RuntimeError of a StopIteration."""
    message = "coroutine raised StopIteration"
    error = failed(ended(server, "raise_it", what="StopIteration"))
    assert error == ("exception", "RuntimeError", message)


def test_a_long_message_is_cut(server: Server) -> None:
    """Of 10 MB a client sees 2,000 characters, and the log is not flooded either."""
    before = len(server.log)
    error = failed(ended(server, "raise_it", what="10 MB"))
    assert error == ("exception", "ValueError", "x" * 1_999 + "…")
    assert len(server.log) - before < 30_000


def test_a_message_that_is_no_unicode_is_mended(server: Server) -> None:
    """A lone surrogate is replaced."""
    assert failed(ended(server, "raise_it", what="surrogate")) == ("exception", "ValueError", "?")


def test_a_deep_recursion_ends(server: Server) -> None:
    """It fails its job, and the log has not every frame of it."""
    before = len(server.log)
    kind, exception, message = failed(ended(server, "raise_recursion"))
    assert (kind, exception) == ("exception", "RecursionError")
    assert message.startswith("maximum recursion depth exceeded")
    assert len(server.log) - before < 30_000


@pytest.mark.parametrize("what", RETURNED)
def test_what_is_no_json_is_a_bad_result(server: Server, what: str) -> None:
    """Whatever it is, the job fails and says why, without showing the value."""
    assert failed(ended(server, "return_it", what=what)) == ("bad-result", None, RETURNED[what])


def test_what_json_can_be_made_of_is_converted(server: Server) -> None:
    """Sets are lists, keys and bytes are strings."""
    job = ended(server, "return_convertible")
    assert (job["status"], job["result"]) == ("completed", {"1": [2], "b": "a"})


@pytest.mark.parametrize("task", ["gather_exit", "group_exit", "raise_in_thread"])
def test_what_a_subtask_raises_fails_its_job(server: Server, task: str) -> None:
    """A subtask or thread that exits does not take the process with it."""
    assert failed(ended(server, task)) == ("exception", "SystemExit", "3")


@pytest.mark.parametrize(
    "task", ["callback_exit", "callback_interrupt", "stop_loop", "leave_subtasks"]
)
def test_what_a_task_sets_off_ends_nothing_else(server: Server, task: str) -> None:
    """Callbacks that exit or interrupt, a stopped event loop, subtasks left behind."""
    job = ended(server, task)
    assert (job["status"], job["result"]) == ("completed", 1)


def test_a_stopped_event_loop_is_logged(server: Server) -> None:
    """With what stopped it."""
    before = len(server.log)
    ended(server, "callback_exit")
    logged = server.log[before:]
    assert "CRITICAL" in logged
    assert "a job stopped the event loop, which goes on" in logged
    assert "SystemExit: 3" in logged


def test_a_swallowed_cancel_is_shown_as_it_is(server: Server) -> None:
    """A coroutine that goes on after its cancel is running, with a cancel on record."""
    job = server.submit("swallow_cancel")
    for _ in range(2):
        answer = server.client.delete(job["links"]["self"])
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
        assert answer.json()["cancel_requested_at"]


def test_an_exit_after_a_cancel_is_a_cancel(server: Server) -> None:
    """The job is cancelled, and its error says what it raised."""
    job = server.submit("exit_when_cancelled")
    while server.job(job["id"])["status"] != "running":
        pass
    headers = {"Prefer": "wait=10"}
    after = server.client.delete(job["links"]["self"], headers=headers).json()
    assert (after["status"], after["error"]["exception"]) == ("cancelled", "SystemExit")


def test_an_exit_in_a_backoff_is_a_failed_backoff(server: Server) -> None:
    """The job is pending again, for as long as the longest back-off."""
    job = server.submit("exit_in_backoff")
    while (after := server.job(job["id"]))["status"] != "pending":
        pass
    assert after["attempts"][0]["error"]["exception"] == "ValueError"


def test_an_exit_in_a_validator_is_a_refusal(server: Server) -> None:
    """The submission gets 422, for the params could not be checked."""
    body = {"task": "exit_in_validator", "params": {"number": 1}}
    answer = server.client.post("/jobs", json=body)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-params")
    [error] = answer.json()["errors"]
    assert error["detail"] == "could not be checked: SystemExit"


def test_a_task_sees_nothing_of_a_request(server: Server) -> None:
    """In its context there is what awaitd put there, and nothing of who submitted it."""
    assert ended(server, "name_context")["result"] == ["outbound_policy", "running_name"]
