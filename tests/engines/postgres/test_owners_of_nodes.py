"""A node that has no keys, where other nodes have some."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest

from app.keys import KeyFile
from tests.support.postgres import conninfo
from tests.support.server import Server
from tests.support.sse import events_of

DELAYED: Final = {"task": "echo", "params": {"value": "hers"}, "delay": 3600}

Start = Callable[..., Server]


@pytest.fixture
def open_node(url: str, tmp_path: Path, start_server: Start) -> Server:
    """A node without keys."""
    (tmp_path / "open").mkdir()
    return start_server(tmp_path / "open", AWAITD_DATABASE_URL=url)


@pytest.fixture
def anna(url: str, tmp_path: Path, start_server: Start) -> httpx.Client:
    """A client with a key, of a node that knows it."""
    (tmp_path / "closed").mkdir()
    key = KeyFile(tmp_path / "closed" / "data").add("anna")
    node = start_server(tmp_path / "closed", AWAITD_DATABASE_URL=url)
    node.client.headers["Authorization"] = f"Bearer {key}"
    return node.client


def test_the_first_job_of_an_owner_closes_every_node(open_node: Server, anna: httpx.Client) -> None:
    """From the first job of an owner on a node without keys answers nothing but health."""
    client, old = open_node.client, open_node.submit("echo", value=1)
    with client.stream("GET", "/events") as stream:
        events = events_of(stream)
        assert next(events).kind is None
        job = submitted(anna)
        assert list(events) == []
    paths = (f"/jobs/{old['id']}", f"/jobs/{job['id']}", "/jobs", "/stats", "/tasks", "/events")
    for path in paths:
        assert client.get(path).status_code == 401, path
    assert client.post("/jobs", json=DELAYED).status_code == 401
    assert client.delete(f"/jobs/{job['id']}").status_code == 401
    assert client.get("/readyz").status_code == client.get("/livez").status_code == 200
    assert open_node.log.count("there are jobs of owners, but no keys") == 1


@pytest.mark.parametrize("look", ["list", "get", "copy", "check"])
def test_a_job_that_a_node_has_not_heard_of(
    url: str, open_node: Server, anna: httpx.Client, look: str
) -> None:
    """A node that finds an owner's job before it hears of it shows nothing of it."""
    client = open_node.client
    with psycopg.connect(conninfo(url)) as db:
        db.execute(
            "SELECT pg_current_xact_id()"
        )  # no later change is settled while this one is open
        job = submitted(anna)
        assert client.get("/stats").json()["jobs"]["pending"] == 0
        copy = {"copy_of": job["id"]}
        match look:
            case "list":
                answer = client.get("/jobs")
            case "get":
                answer = client.get(f"/jobs/{job['id']}")
            case "copy":
                answer = client.post("/jobs", json=copy)
            case _:
                answer = client.post("/jobs?validate_only=true", json=copy)
        assert answer.status_code == 401
        assert client.get("/stats").status_code == 401


def submitted(client: httpx.Client) -> Any:
    """A job of the client's."""
    answer = client.post("/jobs", json=DELAYED)
    assert answer.status_code == 202, answer.text
    return answer.json()
