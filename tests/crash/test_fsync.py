"""What the system was asked to do, and in which order, as strace saw it."""

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server

CALLS = "read,recvfrom,write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync"
STRACE = ["strace", "-D", "-f", "-q", "-y", "-s", "8192", "-e", f"trace={CALLS}"]

JOBS = 10

pytestmark = [
    pytest.mark.strace,
    pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's"),
]


@dataclass(frozen=True)
class Call:
    """One call, from its begin to its end, by the lines of the trace."""

    begun: int
    ended: int
    name: str
    text: str

    def syncs(self, file: str) -> bool:
        """Whether it put a file on the disk."""
        return self.name in ("fsync", "fdatasync") and f"{file}>" in self.text.split(")")[0]

    def writes(self, file: str) -> bool:
        """Whether it wrote to a file."""
        return self.name == "pwrite64" and f"{file}>" in self.text.split(",")[0]

    def is_request(self, text: str) -> bool:
        return self.name in ("read", "recvfrom") and text in self.text

    def is_answer(self) -> bool:
        return self.name in ("write", "writev", "sendto", "sendmsg") and '"HTTP/1.1 ' in self.text


@contextmanager
def traced(folder: Path) -> Iterator[tuple[Server, Path]]:
    """A server, and the file in which its calls are noted: all of them, after the block."""
    assert shutil.which("strace"), "this test needs strace"
    trace = folder / "trace"
    command = [*STRACE, "-o", str(trace), sys.executable]
    with Server(folder, command=command) as server:
        yield server, trace
        assert server.process is not None
    end = re.compile(rf"^{server.process.pid} +\+\+\+ exited", re.MULTILINE)
    while not end.search(trace.read_text(errors="replace")):
        pass


def calls_in(trace: Path) -> list[Call]:
    """The calls, each of one that another thread interrupted put together again."""
    calls: list[Call] = []
    begun: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(trace.read_text(errors="replace").splitlines()):
        thread, text = line.split(maxsplit=1)
        if text.endswith("<unfinished ...>"):
            begun[thread] = number, text.removesuffix("<unfinished ...>")
            continue
        first = number
        if resumed := re.match(r"<\.\.\. \w+ resumed>", text):
            first, start = begun.pop(thread)
            text = start + text[resumed.end() :]
        if call := re.match(r"(\w+)\(", text):
            calls.append(Call(first, number, call[1], text))
    return calls


def between(calls: list[Call], request: str) -> list[Call]:
    """What happened from the end of a request's arrival to the begin of its answer."""
    (arrived,) = (call for call in calls if call.is_request(request))
    answer = next(c for c in calls if c.is_answer() and c.begun > arrived.ended)
    return [c for c in calls if arrived.ended < c.begun and c.ended < answer.begun]


def is_durable(calls: list[Call], text: str = "") -> bool:
    """Whether a text was written to the write-ahead log, and that put on the disk afterwards."""
    wal = "journal.sqlite3-wal"
    written = [c.ended for c in calls if c.writes(wal) and text in c.text]
    synced = [c.begun for c in calls if c.syncs(wal) and c.text.endswith("= 0")]
    return bool(written) and any(begun > written[0] for begun in synced)


def one_after_the_other(server: Server) -> Any:
    """Submit, read and cancel jobs; each with a text of its own in it."""
    body = {"task": "sleep", "params": {"seconds": 3600}}
    for number in range(JOBS):
        headers = {
            "Idempotency-Key": f"key-{number}-",
            "traceparent": "",
            "X-Which": f"new-{number}-",
        }
        job = server.client.post("/jobs", json=body, headers=headers).json()
        path = job["links"]["self"]
        server.client.get(path, headers={"X-Which": f"read-{number}-"})
        answer = server.client.delete(path, headers={"X-Which": f"cancel-{number}-"})
        assert answer.status_code == 202
        server.client.get(path, headers={"Prefer": "wait=10"})


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """The calls of a server that was asked for this and that."""
    with traced(tmp_path_factory.mktemp("traced")) as (server, trace):
        one_after_the_other(server)
    return calls_in(trace)


def test_a_202_comes_after_an_fsync_of_the_job(calls: list[Call]) -> None:
    """Between a submission and its 202 the job goes into the log, and the log onto the disk."""
    for number in range(JOBS):
        assert is_durable(between(calls, f"X-Which: new-{number}-"), f"key-{number}-")


def test_a_cancel_is_acknowledged_after_an_fsync(calls: list[Call]) -> None:
    """Between a DELETE and its answer something goes into the log, and the log onto the disk."""
    for number in range(JOBS):
        assert is_durable(between(calls, f"X-Which: cancel-{number}-"))


def test_a_reading_waits_for_no_disk(calls: list[Call]) -> None:
    """Between a GET and its answer nothing is written."""
    for number in range(JOBS):
        during = between(calls, f"X-Which: read-{number}-")
        assert not [call for call in during if call.name in ("fsync", "fdatasync", "pwrite64")]
