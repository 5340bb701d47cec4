import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import Server

BODY: dict[str, Any] = {"task": "echo", "params": {"value": {"a": 1, "b": [1, 2]}}}


def post(client: httpx.Client, key: str, body: Any = BODY, **headers: str) -> httpx.Response:
    """The answer to a submission with a key; a body that is text is sent as it is."""
    content = body if isinstance(body, str) else json.dumps(body)
    known = {"Content-Type": "application/json", "Idempotency-Key": key}
    return client.post("/jobs", content=content, headers=known | headers)


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return str(uuid.uuid4())


def test_the_same_key_finds_the_same_job(client: httpx.Client, key: str) -> None:
    """The same key with the same body makes no second job, and the answer says so."""
    first, again = post(client, key), post(client, key, Prefer="wait=10")
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["id"] == first.json()["id"]


def test_the_answer_is_the_job_as_it_is_now(client: httpx.Client, key: str, gate: Path) -> None:
    """A replay is 202 until the job is done, then 200, whatever became of it."""
    body = {"task": "wait_for_file", "params": {"path": str(gate)}}
    post(client, key, body)
    running = post(client, key, body)
    assert (running.status_code, running.json()["done"]) == (202, False)
    client.delete(running.headers["location"], headers={"Prefer": "wait=10"})
    ended = post(client, key, body)
    assert (ended.status_code, ended.json()["status"]) == (200, "cancelled")
    assert ended.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    "same",
    [
        '{"params":{"value":{"b":[1,2],"a":1}},"task":"echo"}',
        ' {"task" : "\\u0065cho", "params":{"value":{"a":1,"b":[1,  2]}}}\n',
    ],
)
def test_the_body_counts_as_json(client: httpx.Client, key: str, same: str) -> None:
    """The order of keys, space and escapes make no difference."""
    post(client, key)
    assert post(client, key, same).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    "other",
    [
        {"task": "echo", "params": {"value": {"a": 1, "b": [2, 1]}}},
        {"task": "echo", "params": {"value": {"a": 1.0, "b": [1, 2]}}},
        {**BODY, "priority": 0},
        {"task": "sleep", "params": {"seconds": 1}},
        {"task": "no such task"},
        {"task": "echo", "params": {}},
    ],
)
def test_another_body_is_422(client: httpx.Client, key: str, other: Any) -> None:
    """The same key with another body is refused, with the job that has it; also a wrong body is."""
    first = post(client, key)
    answer = post(client, key, other)
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/idempotency-key-reused"
    assert answer.json()["job"] == first.headers["location"]


def test_quotes_do_not_belong_to_the_key(client: httpx.Client, key: str) -> None:
    """A quoted key is the same as the bare one."""
    first = post(client, key)
    assert post(client, f'"{key}"').json()["id"] == first.json()["id"]


@pytest.mark.parametrize("key", ["!", "a,b;c=d", '"', 'a"b', "x" * 255, '"' + "~" * 255 + '"'])
def test_any_visible_characters_are_a_key(client: httpx.Client, key: str) -> None:
    """1 to 255 visible ASCII characters are a key."""
    assert post(client, key).status_code in (200, 202)
    assert post(client, key).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("key", ["", '""', "a b", "a\tb", "x" * 256, '"' + "x" * 256 + '"', "\xe9"])
def test_anything_else_is_400(client: httpx.Client, key: str) -> None:
    """An empty, long or invisible key is `invalid-idempotency-key`, and makes no job."""
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    answer = client.post("/jobs", json=BODY, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/invalid-idempotency-key"


def test_two_keys_are_400(client: httpx.Client, key: str) -> None:
    """A key is sent once."""
    headers = [("Idempotency-Key", key), ("Idempotency-Key", key)]
    assert client.post("/jobs", json=BODY, headers=headers).status_code == 400


async def test_racing_keys_make_one_job(server: Server, key: str, tmp_path: Path) -> None:
    """A hundred equal submissions at once make one job, which runs once; all are shown it."""
    body = {"task": "count_runs", "params": {"path": str(tmp_path / "runs")}}
    headers = {"Idempotency-Key": key, "Prefer": "wait=10"}
    async with httpx.AsyncClient(base_url=server.url, timeout=30, verify=False) as client:
        answers = await asyncio.gather(
            *(client.post("/jobs", json=body, headers=headers) for _ in range(100))
        )
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert {answer.json()["result"] for answer in answers} == {1}
