import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.jobs.registry import TaskRegistry
from app.main import build_app
from app.settings import Settings
from tests.support.app_server import serving
from tests.support.engines import EndlessEngine
from tests.support.gates import open_gate
from tests.support.raw import connect
from tests.support.server import Server

SUBMISSION = '{"task":"sleep"}'


def request(line: str, body: str = "") -> bytes:
    """A request that waits."""
    head = f"{line} HTTP/1.1\r\nHost: awaitd\r\nPrefer: wait=50\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n{body}".encode()


def newest(server: Server) -> Any:
    """The newest job; one of no task when there is none."""
    items = server.client.get("/jobs?limit=1").json()["items"]
    return items[0] if items else {"task": None}


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("POST /jobs", SUBMISSION),
        ("GET /jobs/{}", ""),
        ("GET /jobs/{}/result", ""),
        ("DELETE /jobs/{}", ""),
    ],
)
def test_a_waiter_that_leaves_is_let_go(
    line: str, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    """When a waiting client hangs up, nothing waits on its behalf, and nothing is logged."""
    engine = EndlessEngine()
    app = build_app(Settings.model_construct(), TaskRegistry(), engine)
    with serving(app) as client:
        with closing(connect(str(client.base_url))) as connection:
            connection.sendall(request(line.format(engine.job.id), body))
            assert engine.waiting.wait(10)
            assert not engine.left.is_set()
        assert engine.left.wait(10)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_the_job_of_a_client_that_leaves_goes_on(server: Server, gate: Path) -> None:
    """A client that submits, waits and hangs up leaves its job behind; its key finds it again."""
    body = json.dumps({"task": "wait_for_file", "params": {"path": str(gate)}})
    with closing(connect(server.url)) as connection:
        waiting = request("POST /jobs", body).replace(b"Prefer", b"Idempotency-Key: left\r\nPrefer")
        connection.sendall(waiting)
        while newest(server)["task"] != "wait_for_file":
            pass
    open_gate(gate, "found")
    again = server.client.post(
        "/jobs",
        content=body,
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": "left",
            "Prefer": "wait=10",
        },
    )
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["result"] == "found"
