import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import client as package
from app.api.problem_types import PROBLEMS
from app.client import (
    AwaitdError,
    Busy,
    Filters,
    Forbidden,
    InvalidParameter,
    InvalidParams,
    JobExpired,
    JobNotFound,
    KeyReused,
    Options,
    ParamError,
    PayloadTooLarge,
    ProblemError,
    QueueFull,
    Unauthorized,
    UnknownTask,
)
from app.client.errors import problem_error
from app.jobs.texts import to_json
from app.keys import ADMIN, CANCEL, READ, SUBMIT, KeyFile
from tests.client.conftest import TASKS, Connect
from tests.support.server import Server

PLAIN = {
    "invalid-json",
    "unsupported-media-type",
    "job-not-running",
    "not-found",
    "method-not-allowed",
    "bad-request",
    "request-timeout",
    "headers-too-large",
}
"""Problems that no caller of the client can have made."""

INNER = {"job-cancelled", "job-not-finished", "precondition-failed"}
"""Problems that the client turns into something else."""


@pytest.mark.parametrize("slug", PROBLEMS)
def test_every_problem_is_an_exception(slug: str) -> None:
    """Each type of problem has a class of its own, under one base, with all that was said."""
    kind = PROBLEMS[slug]
    body = {"type": f"/root{kind.uri}", "title": kind.title, "status": kind.status}
    body |= {"detail": kind.detail, **kind.members}
    headers = {"retry-after": "7", "x-request-id": "r"}
    error = problem_error(kind.status, headers, to_json(body))
    assert isinstance(error, ProblemError)
    assert isinstance(error, AwaitdError)
    assert (type(error) is ProblemError) is (slug in PLAIN)
    assert isinstance(error, Busy) is (kind.status in (429, 503))
    assert (error.status, error.type, error.title) == (kind.status, body["type"], kind.title)
    assert error.detail == kind.detail
    assert kind.detail in str(error)
    assert (error.retry_after, error.request_id) == (7, "r")
    assert pickle.loads(pickle.dumps(error)).problem == error.problem
    is_public = type(error).__name__ in package.__all__
    assert is_public is (slug not in INNER)


def test_no_two_problems_share_a_class_by_mistake() -> None:
    """Only what a caller treats alike shares a class."""
    classes = {slug: type(problem_error(k.status, {}, b"x")) for slug, k in PROBLEMS.items()}
    assert set(classes.values()) == {ProblemError, Busy, package.ServerError}


def test_an_unknown_task(client: Any) -> None:
    """The exception has the names that come near."""
    with pytest.raises(UnknownTask, match="did you mean sleep") as raised:
        client.submit("slep", seconds=1)
    assert raised.value.close == ("sleep",)
    assert raised.value.errors == ()


def test_wrong_params(client: Any) -> None:
    """Each error has its pointer, those of options too."""
    with pytest.raises(InvalidParams) as raised:
        client.submit("sleep", Options(priority=1 << 40), seconds=1)
    assert [error.pointer for error in raised.value.errors] == ["/priority"]
    with pytest.raises(InvalidParams) as raised:
        client.submit("sleep", seconds="long", hours=1)
    assert raised.value.errors == (
        ParamError("/params/seconds", "Input should be a valid number", "float_type"),
        ParamError("/params/hours", "Extra inputs are not permitted", "extra_forbidden"),
    )


def test_a_key_for_something_else(client: Any) -> None:
    """An idempotency key that belongs to another submission names its job."""
    job = client.submit("echo", Options(idempotency_key="once"), value="a")
    assert client.submit("echo", Options(idempotency_key="once"), value="a").id == job.id
    with pytest.raises(KeyReused) as raised:
        client.submit("echo", Options(idempotency_key="once"), value="b")
    assert raised.value.job == f"/jobs/{job.id}"


@pytest.mark.parametrize("name", ["idempotency_key", "traceparent"])
@pytest.mark.parametrize("text", ["", " ", "a\r\nX: y", "schlüssel", "\x7f"])
def test_what_cannot_be_a_header(connect: Connect, name: str, text: str) -> None:
    """It is refused at once and never sent: nobody is there who could refuse it."""
    client = connect("http://127.0.0.1:1", timeout=20)
    options: dict[str, Any] = {name: text}
    with pytest.raises(ValueError, match=f"{name} is .*printable"):
        client.submit("echo", Options(**options), value=1)


DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize("value", [float("nan"), "\ud800", DEEP], ids=["nan", "half", "deep"])
def test_params_that_are_no_json(client: Any, value: object) -> None:
    """They are refused at once, with what to do."""
    with pytest.raises(ValueError, match="cannot be sent as JSON, give other params"):
        client.submit("echo", value=value)


def test_no_such_job(client: Any) -> None:
    """Every verb of a job that is not there says so."""
    job = client.job("ffffffff-ffff-7fff-bfff-ffffffffffff")
    verbs = (job.status, job.get_result, job.wait, job.cancel, job.logs, job.progress, job.details)
    for verb in (*verbs, job.again):
        with pytest.raises((JobNotFound, JobExpired)):
            verb()


def test_too_much(client: Any) -> None:
    """A submission that is too large says how large it may be."""
    with pytest.raises(PayloadTooLarge) as raised:
        client.submit("echo", value="x" * 1_100_000)
    assert raised.value.problem.members["limit"] == 1 << 20


def test_a_filter_that_is_none(client: Any) -> None:
    """A status that there is not is no filter."""
    with pytest.raises(InvalidParameter, match="status is one of"):
        list(client.jobs(Filters(status="done")))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server that wants keys and has room for one job, and keys of several kinds."""
    folder: Path = tmp_path_factory.mktemp("guarded")
    file = KeyFile(folder / "data")
    scopes = {"all": (SUBMIT, READ, CANCEL), "blind": (SUBMIT, CANCEL), "admin": (ADMIN,)}
    keys = {name: file.add("anna", given) for name, given in scopes.items()}
    limits = {"AWAITD_MAX_RUNNING": "1", "AWAITD_MAX_PENDING": "1", "AWAITD_SHUTDOWN_GRACE": "0"}
    with Server(folder, AWAITD_TASKS=TASKS, **limits) as server:
        yield server, keys


def test_keys(
    connect: Connect, guarded: tuple[Server, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is an argument or AWAITD_API_KEY; none, and one for something else, are refused."""
    server, keys = guarded
    with pytest.raises(Unauthorized):
        connect(server.url).tasks()
    assert connect(server.url, api_key=keys["all"]).tasks()
    monkeypatch.setenv("AWAITD_API_KEY", keys["blind"])
    monkeypatch.setenv("AWAITD_URL", server.url + "/")
    client = connect()
    assert client.url == server.url
    with pytest.raises(Forbidden, match="not for read"):
        list(client.jobs())


def test_cancel_without_the_right_to_look(
    connect: Connect, guarded: tuple[Server, dict[str, str]]
) -> None:
    """A key that may cancel, but not look, can cancel."""
    server, keys = guarded
    job = connect(server.url, api_key=keys["blind"]).submit("never_end")
    assert job.cancel() is True
    assert connect(server.url, api_key=keys["all"]).job(job.id).wait() is None


def test_a_full_queue(connect: Connect, guarded: tuple[Server, dict[str, str]]) -> None:
    """A queue that stays full is raised when the time is up, with its limit."""
    server, keys = guarded
    client = connect(server.url, api_key=keys["all"])
    jobs = [client.submit("never_end") for _ in range(2)]
    with pytest.raises(QueueFull) as raised:
        connect(server.url, api_key=keys["all"], timeout=0.9).submit("never_end")
    assert raised.value.problem.members["limit"] == 1
    for job in reversed(jobs):
        assert job.cancel() is True


@pytest.mark.parametrize(
    "options",
    [
        {"url": "127.0.0.1:8000"},
        {"url": "ftp://127.0.0.1"},
        {"url": "http://"},
        {"url": "http://127.0.0.1:port"},
        {"url": "http://127.0.0.1/?a=b"},
        {"api_key": "a\nb"},
        {"api_key": "schlüssel"},
        {"timeout": 0},
        {"timeout": float("nan")},
    ],
)
def test_what_cannot_be_a_service(connect: Connect, options: dict[str, Any]) -> None:
    """A wrong URL, key or time limit is refused at once, without the key in the text."""
    with pytest.raises(ValueError, match=r"URL|key|timeout") as raised:
        connect(**options)
    assert options.get("api_key", "never") not in str(raised.value)
