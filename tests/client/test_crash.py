"""A client session over the death of its server."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.client import Filters, JobFailed, Options, Status
from tests.client.conftest import TASKS, Connect
from tests.support.forked import ForkedServer
from tests.support.gates import open_gate
from tests.support.relay import Relay

SETTINGS = {"AWAITD_TASKS": TASKS, "AWAITD_SHUTDOWN_GRACE": "0"}


def test_a_server_that_is_killed(connect: Connect, tmp_path: Path) -> None:
    """Waits, streams and submissions that meet a dead server go on with the one that follows.

    A job with a retry left runs again, one without has failed; nothing is submitted twice.
    """
    with ExitStack() as stack:
        first = stack.enter_context(ForkedServer(tmp_path, **SETTINGS))
        door = stack.enter_context(Relay(first.url))
        client = connect(door.url)
        paths = [tmp_path / "one", tmp_path / "two"]
        kept = client.submit("write_when_told", paths=[str(path) for path in paths])
        lost = client.submit("wait_for_file", path=str(tmp_path / "nowhere"))
        marked = Options(labels={"mark": "late"})
        with ThreadPoolExecutor(4) as threads:
            value = threads.submit(kept.wait)
            failure = threads.submit(lost.wait)
            events = kept.events()
            open_gate(paths[0])
            assert next(e for e in events if e.kind == "log").line.message == "one"
            first.kill()
            late = threads.submit(client.submit, "echo", marked, value=1)
            rest = threads.submit(list, events)
            while not any(b'"mark"' in request for request in door.requests):
                pass
            door.target = stack.enter_context(ForkedServer(tmp_path, **SETTINGS)).url
            assert late.result().wait() == 1
            assert len(list(client.jobs(Filters(labels=marked.labels)))) == 1
            with pytest.raises(JobFailed, match="interrupted") as raised:
                failure.result()
            assert raised.value.error.type == "interrupted"
            open_gate(paths[1])
            assert value.result() == ["one", "two"]
        told = rest.result()
        assert [e.line.message for e in told if e.line is not None] == ["one", "two"]
        assert {e.line.attempt for e in told if e.line is not None} == {2}
        assert told[-1].kind == "done"
        assert told[-1].job.status is Status.COMPLETED
        assert kept.details().attempt == 2
