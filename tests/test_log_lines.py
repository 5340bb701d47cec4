import asyncio
import json
import logging
import re
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from app.log_context import bound
from app.log_lines import JsonFormatter, LineFormatter, without_query
from app.scheduler import BackgroundTaskScheduler
from app.visible import visible
from tests.support.raw import exchange
from tests.support.server import Server

FORMAT = "%(levelname)s %(name)s: %(message)s"
SECRET = "hunter2"

INVISIBLE = {
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\x00": "\\x00",
    "\x1b": "\\x1b",
    "\x7f": "\\x7f",
    "\x85": "\\x85",
    "\x9b": "\\x9b",
    "\xad": "\\xad",
    "\u200b": "\\u200b",
    "\u2028": "\\u2028",
    "\u202e": "\\u202e",
    "\u2066": "\\u2066",
    "\ufeff": "\\ufeff",
    "\ud800": "\\ud800",
    "\U000e0041": "\\U000e0041",
}


class Sly(Exception):
    """Its text looks like a record of its own."""

    def __str__(self) -> str:
        return f"{SECRET}\nERROR app: forged\r\n\u2028ERROR app: forged\x1b[2K"


def raised(error: Exception) -> Exception:
    """The error after it was raised, so that it has frames."""
    try:
        raise error
    except Exception as caught:
        return caught


def chained() -> BaseException:
    """An error with a cause that has a context, and with a group."""
    try:
        try:
            raise Sly
        except Sly:
            raise ValueError(SECRET) from None
    except ValueError as error:
        group = ExceptionGroup(SECRET, [raised(Sly()), raised(KeyError(SECRET))])
        group.add_note(SECRET)
        try:
            raise group from error
        except ExceptionGroup as caught:
            return caught


def record(message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    """A record of some module."""
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("app.some", logging.ERROR, __file__, 1, message, args, info)


@pytest.mark.parametrize("character", INVISIBLE)
def test_a_record_is_one_line_of_what_can_be_seen(character: str) -> None:
    """What ends a line, moves the cursor, hides or turns text comes as an escape."""
    line = LineFormatter(FORMAT).format(record("by %s", f"me{character}ERROR app: forged"))
    assert line == f"ERROR app.some: by me{INVISIBLE[character]}ERROR app: forged"


def test_what_can_be_seen_stays() -> None:
    """Letters of every script, and signs, are left as they are."""
    text = "Zürich 東京 عربى 👋 \\ \" '"
    assert visible(text) == text


@pytest.mark.parametrize("make", [lambda: raised(Sly()), chained])
def test_no_line_of_an_exception_looks_like_a_record(make: Callable[[], BaseException]) -> None:
    """Each line that follows a record is indented and has its escapes."""
    first, *lines = LineFormatter(FORMAT).format(record("failed", error=make())).split("\n")
    assert first == "ERROR app.some: failed"
    assert any("forged" in line for line in lines)
    for line in lines:
        assert line.startswith("    ")
        assert line.isprintable()


def test_a_stack_is_indented_too() -> None:
    """A stack that a record brings along looks like no record either."""
    with_stack = record("here")
    with_stack.stack_info = "Stack\nERROR app: forged"
    lines = LineFormatter(FORMAT).format(with_stack).split("\n")
    assert lines[1:] == ["    Stack", "    ERROR app: forged"]


def test_an_endless_exception_is_cut() -> None:
    """The text of an exception cannot fill the disk; its end is kept."""
    text = LineFormatter(FORMAT).format(record("failed", error=raised(ValueError("a" * 10**6))))
    assert len(text) < 100_000


@pytest.mark.parametrize("make", [lambda: raised(Sly()), chained])
def test_exceptions_without_their_text(make: Callable[[], BaseException]) -> None:
    """Reduced, an exception is its type and its frames, and so are its causes and its parts."""
    formatter = LineFormatter(FORMAT, exception_text=False)
    error = make()
    text = formatter.format(record("failed", error=error))
    assert SECRET not in text
    assert "forged" not in text
    assert "Sly" in text
    assert type(error).__name__ in text
    assert f'File "{__file__}"' in text
    assert "raise" not in text.replace("raised", "")
    assert all(line.startswith("    ") for line in text.split("\n")[1:])


def test_causes_and_parts_are_named() -> None:
    """Of a chain and of a group nothing but the text is left out, and a circle has an end."""
    error = chained()
    assert error.__cause__ is not None
    error.__cause__.__cause__ = error
    text = LineFormatter(FORMAT, exception_text=False).format(record("failed", error=error))
    types = re.findall(r"^ +(Sly|ValueError|KeyError|ExceptionGroup)$", text, re.MULTILINE)
    assert types == ["ValueError", "ExceptionGroup", "Sly", "KeyError"]


def test_an_exception_nobody_waited_for_is_reduced_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What asyncio tells of a lost exception has its type only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(FORMAT, exception_text=False))
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    try:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            context = {"message": "lost", "exception": raised(Sly()), "future": Sly()}
            loop.call_exception_handler(context)
    finally:
        logger.removeHandler(handler)
    text = capsys.readouterr().err
    assert text.startswith("ERROR asyncio: lost\n")
    assert SECRET not in text


def access(path: str) -> logging.LogRecord:
    """A record of uvicorn's access log."""
    args = ("127.0.0.1:5", "GET", path, "1.1", 200)
    return logging.LogRecord("uvicorn.access", 20, "", 0, '%s - "%s %s HTTP/%s" %d', args, None)


def test_the_access_log_has_no_query() -> None:
    """A query may hold what is nobody's business."""
    entry = access(f"/jobs?label={SECRET}?x")
    assert without_query(entry)
    assert entry.getMessage() == '127.0.0.1:5 - "GET /jobs HTTP/1.1" 200'


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/readyz?a=b"])
def test_health_checks_are_not_logged(path: str) -> None:
    """Probes come every few seconds and are of no interest."""
    assert not without_query(access(path))


BEGINNING = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ((INFO|WARNING) +[\w.]+|ERROR +app\.jobs\.watchdog): "
)
"""Of a line of the log; the one error is that a busy machine held up the event loop."""

HOSTILE = """{} HTTP/1.1
Host: {secret}
Authorization: Bearer {secret}
Cookie: a={secret}
Prefer: {secret}
User-Agent: {secret}
Connection: close

"""


def test_the_log_of_a_server_cannot_be_forged(start_server: Callable[..., Server]) -> None:
    """Whatever a request holds, each line of the log is a record, and no secret is in any."""
    server = start_server(AWAITD_ACCESS_LOG="true")
    for target in (
        f"GET /jobs?label=a:{SECRET}",
        "GET /a%0A2026-01-01%20forged%1b%E2%80%AE",
        "G ?",
    ):
        exchange(server.url, HOSTILE.format(target, secret=SECRET))
    exchange(server.url, HOSTILE.format("GET /livez", secret=SECRET))
    server.terminate()
    assert SECRET not in server.log
    assert "/livez" not in server.log
    assert '"GET /jobs HTTP/1.1" 200' in server.log
    assert '"GET /a%0A2026-01-01%20forged%1B%E2%80%AE HTTP/1.1" 404' in server.log
    for line in server.log.splitlines():
        assert BEGINNING.match(line), line


SLY_TASK = f'''
from app.jobs import task

@task(retries=0)
async def fail() -> None:
    """Raises an error that looks like a record."""
    try:
        raise KeyError("{SECRET}")
    except KeyError as error:
        text = "{SECRET}" + chr(10) + "2026-01-01 00:00:00,000 ERROR app: forged"
        raise RuntimeError(text) from error
'''


@pytest.mark.parametrize("text", ["true", "false"])
def test_a_tasks_exception_cannot_forge_the_log(
    start_server: Callable[..., Server], tmp_path: Path, text: str
) -> None:
    """What a coroutine raised is told as it is but for its lines, or, if so set, by its type."""
    file = tmp_path / "sly.py"
    file.write_text(SLY_TASK)
    server = start_server(AWAITD_TASKS=str(file), AWAITD_EXCEPTION_TEXT=text)
    job = server.submit("fail", headers={"Prefer": "wait=10"})
    answers = server.client.get(f"/jobs/{job['id']}/result").text + str(job)
    answers += server.client.get("/jobs").text + server.client.get(f"/jobs/{job['id']}/events").text
    server.terminate()
    assert job["error"]["exception"] == "RuntimeError"
    assert (SECRET in job["error"]["message"]) == (text == "true")
    assert (SECRET in answers) == (SECRET in server.log) == (text == "true")
    assert "RuntimeError" in server.log
    assert "KeyError" in server.log
    assert not [line for line in server.log.splitlines() if line.startswith("2026-01-01")]


def entry(record: logging.LogRecord, *, exception_text: bool = True) -> dict[str, Any]:
    """The one line of JSON that a record is."""
    line = JsonFormatter(exception_text=exception_text).format(record)
    assert line.isascii()
    assert line.isprintable()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("character", INVISIBLE)
def test_a_record_is_one_object(character: str) -> None:
    """Whatever a record holds, its line is one object, and what was said can be read from it."""
    found = entry(record("by %s", f"me{character}forged"))
    assert found.pop("time").endswith("+00:00")
    event = f"by me{character}forged"
    assert found == {"level": "error", "logger": "app.some", "event": event}


@pytest.mark.parametrize("make", [lambda: raised(Sly()), chained])
@pytest.mark.parametrize("told", [True, False])
def test_an_exception_in_an_object(make: Callable[[], BaseException], told: bool) -> None:
    """Its traceback is a member; without its text, there are types and frames alone."""
    error = make()
    found = entry(record("failed", error=error), exception_text=told)
    assert found["event"] == "failed"
    assert type(error).__name__ in found["exception"]
    assert (SECRET in json.dumps(found)) == told


def test_no_extra_stands_for_what_is_ours() -> None:
    """Who adds a value of such a name changes neither the level of a line nor what it says."""
    with_extra = record("said")
    vars(with_extra).update(event="other", level="debug", colour="red")
    found = entry(with_extra)
    assert (found["event"], found["level"], found["colour"]) == ("said", "error", "red")
    assert next(iter(found)) == "time"


class Mute:
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError(SECRET)


CIRCLE: dict[str, object] = {}
CIRCLE["itself"] = CIRCLE

CIRCLES: list[object] = []
CIRCLES += [CIRCLES] * 100
"""To follow each of its ways would take years."""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        ([float("inf")], "[inf]"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (CIRCLE, "{'itself': {...}}"),
        (Mute(), "(its text cannot be had: RuntimeError)"),
    ],
    ids=["nan", "infinity", "key", "circle", "mute"],
)
def test_values_that_are_no_json(value: object, shown: str) -> None:
    """Whatever value is added to a line, there is a line, and as an object it is JSON."""
    added = record("here")
    vars(added)["value"] = value
    assert LineFormatter(FORMAT).format(added) == f"ERROR app.some: here value={shown}"
    line = json.loads(JsonFormatter().format(added), parse_constant=pytest.fail)
    assert (line["event"], line["value"]) == ("here", shown)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (ValueError(SECRET), "ValueError"),
        ([ValueError(SECRET), 1], "['ValueError', 1]"),
        ({"a": (KeyError(SECRET),)}, "{'a': ['KeyError']}"),
        (deque([ValueError(SECRET)]), "['ValueError']"),
        (MappingProxyType({"a": KeyError(SECRET)}), "{'a': 'KeyError'}"),
        ({"a": KeyError(SECRET)}.values(), "['KeyError']"),
        ({KeyError(SECRET): 1}, "{'KeyError': 1}"),
        (CIRCLE, "…"),
        (CIRCLES, "['…', '…', "),
        (Mute(), "(its text cannot be had: RuntimeError)"),
        ("as it is", "as it is"),
    ],
    ids=[
        "exception",
        "list",
        "dictionary",
        "deque",
        "proxy",
        "values",
        "key",
        "circle",
        "circles",
        "mute",
        "text",
    ],
)
def test_an_exception_as_a_value(value: object, shown: str) -> None:
    """Without their texts exceptions are types, wherever in an added value they are."""
    added = record("here")
    vars(added)["value"] = value
    lines = [
        LineFormatter(FORMAT, exception_text=False).format(added),
        JsonFormatter(exception_text=False).format(added),
    ]
    assert SECRET not in str(lines)
    assert shown in lines[0]
    assert json.loads(lines[1])["event"] == "here"


@pytest.mark.parametrize(
    "formatter", [LineFormatter(FORMAT, exception_text=False), JsonFormatter(exception_text=False)]
)
def test_an_exception_in_a_message(formatter: logging.Formatter) -> None:
    """Without their texts exceptions are types in what a message is made of, too."""
    line = formatter.format(record("%s after %d", ValueError(SECRET), 3))
    assert SECRET not in line
    assert "ValueError after 3" in line


def test_details_in_an_object() -> None:
    """What belongs below a line is a member of its own, and so is a stack."""
    with_details = record("job %s raised\n%s", "1", "Traceback\n  line")
    with_details.stack_info = "Stack"
    found = entry(with_details)
    assert (found["event"], found["exception"], found["stack"]) == (
        "job 1 raised",
        "Traceback\n  line",
        "Stack",
    )


TALKATIVE = '''
import asyncio
import logging
import structlog
from app.jobs import task

TAKEN = {"filename": "a", "message": "b", "name": "c", "level": "d", "time": "e"}

@task()
async def talk() -> None:
    """Writes to the log in every way."""
    log = logging.getLogger("talkative")
    log.warning("itself", extra={"colour": "red"})
    structlog.get_logger("talkative").warning("by %s", "structlog", colour="blue", **TAKEN)
    async def sub() -> None:
        log.warning("a subtask")
    await asyncio.create_task(sub())
    await asyncio.to_thread(log.warning, "a thread")

@task()
async def fail() -> None:
    """Fails."""
    raise RuntimeError("oh")
'''


def test_lines_of_a_server_as_objects(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """Each line is an object, bound to the job or the request that it is about; no health check."""
    file = tmp_path / "talkative.py"
    file.write_text(TALKATIVE)
    settings = {"AWAITD_LOG_FORMAT": "json", "AWAITD_ACCESS_LOG": "true"}
    server = start_server(AWAITD_TASKS=str(file), **settings)
    wait = {"Prefer": "wait=10"}
    jobs = {name: server.submit(name, headers=wait)["id"] for name in ("talk", "fail")}
    server.client.get("/jobs?label=a:b", headers={"X-Request-ID": "from-a-proxy"})
    server.client.get("/tasks", headers={"X-Request-ID": "no good"})
    server.client.get("/livez")
    server.terminate()
    lines = [json.loads(line) for line in server.log.splitlines()]
    told = [line for line in lines if line["logger"] == "talkative"]
    events = ["itself", "by structlog", "a subtask", "a thread"]
    assert [line["event"] for line in told] == events
    assert {(line["job_id"], line["task"]) for line in told} == {(jobs["talk"], "talk")}
    assert [line.get("colour") for line in told] == ["red", "blue", None, None]
    names = ("filename", "message", "name", "level_", "time_")  # those of the line's own are kept
    assert [told[1][name] for name in names] == ["a", "b", "c", "d", "e"]
    assert {line["level"] for line in told} == {"warning"}
    assert not [line for line in told if "request_id" in line]
    [failed] = [line for line in lines if "raised" in line["event"]]
    assert (failed["job_id"], failed["task"]) == (jobs["fail"], "fail")
    assert "RuntimeError: oh" in failed["exception"]
    of_path = {line["path"]: line for line in lines if line["logger"] == "uvicorn.access"}
    assert set(of_path) == {"/jobs", "/tasks"}
    assert of_path["/jobs"]["request_id"] == "from-a-proxy"
    assert (of_path["/jobs"]["method"], of_path["/jobs"]["status"]) == ("GET", 200)
    assert re.fullmatch("[0-9a-f]{16}", of_path["/tasks"]["request_id"])
    assert "Started server process" in json.dumps(lines)


def test_lines_of_the_console_name_job_and_request(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """At their end, and once."""
    file = tmp_path / "talkative.py"
    file.write_text(TALKATIVE)
    server = start_server(AWAITD_TASKS=str(file), AWAITD_ACCESS_LOG="true")
    job = server.submit("talk", headers={"Prefer": "wait=10", "X-Request-ID": "mine"})["id"]
    failed = server.submit("fail", headers={"Prefer": "wait=10"})["id"]
    server.terminate()
    assert f"talkative: itself job_id={job} task=talk colour=red\n" in server.log
    assert '"POST /jobs HTTP/1.1" 200 request_id=mine\n' in server.log
    assert server.log.count(failed) == 1


@pytest.mark.parametrize("shares", [True, False])
def test_the_code_of_a_job_knows_which_it_is(shares: bool) -> None:
    """However the scheduler runs it, and nobody else is taken for it."""

    async def run() -> list[dict[str, str] | None]:
        async with BackgroundTaskScheduler(shares=shares) as scheduler:
            tasks = [scheduler.create_task(look, name=f"look {i}") for i in range(3)]
            return [await task for task in tasks] + [bound()]

    async def look() -> dict[str, str]:
        return bound()

    jobs = [{"job_id": str(i), "task": "look"} for i in range(3)]
    assert asyncio.run(run()) == [*jobs, {}]
