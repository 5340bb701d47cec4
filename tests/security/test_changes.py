"""Keys that are added, removed and expire while the server runs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.keys import ADMIN, KeyFile
from tests.security.callers import TASKS
from tests.support.server import Server
from tests.support.sse import events_of

Start = Callable[..., Server]


def bearer(key: str) -> dict[str, str]:
    """The header of a key."""
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def server(start_server: Start) -> Server:
    """A server without keys."""
    return start_server(AWAITD_TASKS=TASKS, AWAITD_SHUTDOWN_GRACE="0")


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """The keys of that server."""
    return KeyFile(tmp_path / "data")


def test_the_first_key_closes_the_door(server: Server, keys: KeyFile) -> None:
    """From the first key on callers need one; jobs from before belong to administrators."""
    client, old = server.client, server.submit("never_end")
    assert client.get("/jobs").status_code == 200
    anna, ops = keys.add("anna"), keys.add("ops", (ADMIN,))
    assert client.get("/jobs").status_code == 401
    assert client.get(f"/jobs/{old['id']}", headers=bearer(anna)).status_code == 404
    assert client.get("/jobs", headers=bearer(anna)).json()["items"] == []
    assert client.get(f"/jobs/{old['id']}", headers=bearer(ops)).status_code == 200


def test_changing_a_key_without_a_pause(server: Server, keys: KeyFile) -> None:
    """Two keys of one owner live side by side; the old one ends with its removal."""
    old = keys.add("anna")
    new = keys.add("anna")
    job = server.client.post("/jobs", json={"task": "never_end"}, headers=bearer(old)).json()
    assert server.client.get(job["links"]["self"], headers=bearer(new)).status_code == 200
    keys.remove(keys.read()[0].id)
    assert server.client.get("/jobs", headers=bearer(old)).status_code == 401
    assert server.client.get("/jobs", headers=bearer(new)).status_code == 200
    assert f"key {old.split('_')[1]} of anna was removed" in server.log


def test_without_the_last_key_nobody_gets_in(server: Server, keys: KeyFile) -> None:
    """The last key's removal opens nothing, nor does the file's, nor does a restart with one."""
    key = keys.add("anna")
    assert server.client.get("/jobs").status_code == 401
    keys.remove("anna")
    assert server.client.get("/jobs").status_code == 401
    assert server.client.get("/jobs", headers=bearer(key)).status_code == 401
    keys.path.unlink()
    assert server.client.get("/jobs").status_code == 401


def test_a_journal_of_owners_without_keys(server: Server, keys: KeyFile) -> None:
    """Where jobs have owners nobody gets in without a key, though the file of keys is not there."""
    key = keys.add("anna")
    server.client.post("/jobs", json={"task": "never_end"}, headers=bearer(key))
    keys.path.unlink()
    server.kill()
    server.start()
    assert server.client.get("/jobs").status_code == 401
    assert "there are jobs of owners, but no keys" in server.log
    again = keys.add("anna")
    assert len(server.client.get("/jobs", headers=bearer(again)).json()["items"]) == 1


def test_a_damaged_file_changes_nothing(server: Server, keys: KeyFile) -> None:
    """A file that cannot be read leaves the keys as they were, and the log says so."""
    key = keys.add("anna")
    assert server.client.get("/jobs", headers=bearer(key)).status_code == 200
    keys.path.write_text("{")
    assert server.client.get("/jobs", headers=bearer(key)).status_code == 200
    assert server.client.get("/jobs").status_code == 401
    assert "the keys stay as they were" in server.log


def test_a_first_file_that_cannot_be_read(server: Server, keys: KeyFile) -> None:
    """Where there is a file, keys are in use, though nobody can tell which; mended, they are."""
    server.client.get("/jobs")
    key = keys.add("anna")
    text = keys.path.read_text()
    keys.path.write_text("{")
    assert server.client.get("/jobs").status_code == 401
    assert server.client.get("/jobs", headers=bearer(key)).status_code == 401
    keys.path.write_text(text)
    while server.client.get("/jobs", headers=bearer(key)).status_code == 401:
        pass
    assert f"key {key.split('_')[1]} of anna was added" in server.log


def test_a_key_expires(start_server: Start, keys: KeyFile) -> None:
    """A key that has expired is none, though it is in the file."""
    key = keys.add("anna", days=1)
    text = keys.path.read_text()
    expires_at = keys.read()[0].expires_at
    assert expires_at is not None
    server = start_server()
    assert server.client.get("/jobs", headers=bearer(key)).status_code == 200
    keys.path.write_text(text.replace(str(expires_at), str(expires_at - 86_401)))
    assert server.client.get("/jobs", headers=bearer(key)).status_code == 401


def test_a_stream_ends_with_its_key(server: Server, keys: KeyFile) -> None:
    """A removed key gets no further event of a stream that was open."""
    key = keys.add("anna")
    other = keys.add("anna")
    with server.client.stream("GET", "/events", headers=bearer(key)) as answer:
        events = events_of(answer)
        next(events)
        keys.remove(key.split("_")[1])
        server.client.post("/jobs", json={"task": "never_end"}, headers=bearer(other))
        assert list(events) == []


def test_who_submits_and_cancels_is_logged(server: Server, keys: KeyFile) -> None:
    """Each submission and cancel leaves a line with the job, the owner and the key's id."""
    key = keys.add("anna")
    job = server.client.post("/jobs", json={"task": "never_end"}, headers=bearer(key)).json()
    server.client.delete(job["links"]["self"], headers=bearer(key))
    for what in ("submit", "cancel"):
        line = f"awaitd.audit: {what} of job {job['id']} (never_end) by anna with key "
        assert line + key.split("_")[1] in server.log


def test_each_key_is_logged(server: Server, keys: KeyFile) -> None:
    """The first key leaves a line too."""
    key = keys.add("anna")
    assert server.client.get("/jobs").status_code == 401
    assert f"awaitd.audit: key {key.split('_')[1]} of anna was added" in server.log


def test_without_keys_nothing_is_logged(server: Server) -> None:
    """Without keys there is nobody to name."""
    server.submit("sleep", seconds=0)
    assert "awaitd.audit" not in server.log


def test_the_file_is_private(keys: KeyFile) -> None:
    """Only the user of the server may read the hashes, and the folder."""
    keys.add("anna")
    assert os.stat(keys.path).st_mode & 0o777 == 0o600
    assert os.stat(keys.path.parent).st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("9.9.9.9", "9.9.9.9"),
        ("2001:db8::1, 10.0.0.1", "10.0.0.1"),
        ("9.9.9.9 job_id=forged", "127.0.0.1"),
        ("root", "127.0.0.1"),
    ],
)
def test_who_asks_is_an_address(server: Server, keys: KeyFile, told: str, shown: str) -> None:
    """What a proxy says of whom it asks for is looked at only if it can be an address."""
    key = keys.add("anna")
    headers = bearer(key) | {"X-Forwarded-For": told}
    job = server.client.post("/jobs", json={"task": "never_end"}, headers=headers).json()
    [line] = [line for line in server.log.splitlines() if f"submit of job {job['id']}" in line]
    assert f" from {shown}" in line
    assert told == shown or told not in line
