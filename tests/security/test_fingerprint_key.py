"""Repeated submissions are known by a hash that nobody can make without a key."""

import hashlib
import json
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import httpx
import pytest

from app.fingerprint_key import FILE, SIZE, BadFingerprintKey, fingerprint_key
from tests.support.command import run
from tests.support.server import Server

BODY = {"params": {"value": "1234"}, "task": "echo"}


def post(server: Server) -> httpx.Response:
    """The answer to the same submission with the same key."""
    return server.client.post("/jobs", json=BODY, headers={"Idempotency-Key": "k"})


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Where the key is."""
    return tmp_path / "data" / FILE


def test_the_key_is_made_once(start_server: Callable[..., Server], key_file: Path) -> None:
    """The first start makes a random key that only the owner can read; later ones use it."""
    server = start_server()
    key = key_file.read_bytes()
    assert (len(key), len(set(key)) > SIZE / 2) == (SIZE, True)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    first = post(server)
    server.terminate()
    again = post(server.start())
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    assert key_file.read_bytes() == key
    assert not list(key_file.parent.glob(f"{FILE}?*"))


def test_the_journal_alone_tells_nothing(
    start_server: Callable[..., Server], key_file: Path
) -> None:
    """The fingerprint in the journal is of the submission and the key, not of the first alone."""
    server = start_server()
    post(server)
    server.terminate()
    with closing(apsw.Connection(str(key_file.with_name("journal.sqlite3")))) as db:
        [(found,)] = db.execute("SELECT fingerprint FROM jobs").fetchall()
    text = json.dumps(BODY, sort_keys=True, separators=(",", ":")).encode()
    assert found == hashlib.blake2b(text, digest_size=16, key=key_file.read_bytes()).digest()
    assert found != hashlib.blake2b(text, digest_size=16).digest()


def test_a_lost_key(start_server: Callable[..., Server], key_file: Path) -> None:
    """Without the key what was submitted before is not known again, and is refused: never run."""
    server = start_server()
    first = post(server)
    server.terminate()
    key_file.unlink()
    answer = post(server.start())
    assert answer.json()["type"] == "/problems/idempotency-key-reused"
    assert answer.json()["job"] == first.headers["location"]


@pytest.mark.parametrize("content", [b"", b"x" * (SIZE - 1), b"x" * (SIZE + 1)])
def test_a_broken_key(tmp_path: Path, content: bytes) -> None:
    """A file of another size is neither used nor replaced: the message says what to do."""
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(BadFingerprintKey, match=f"{FILE} does not have {SIZE} bytes: restore it"):
        fingerprint_key(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_broken_key_costs_no_job(
    start_server: Callable[..., Server], key_file: Path, tmp_path: Path
) -> None:
    """A start that a broken key stops has started no job."""
    server = start_server(AWAITD_TASKS="app.tasks", AWAITD_SHUTDOWN_GRACE="0")
    body = {"task": "sleep", "params": {"seconds": 60}, "delay": 1}
    job = server.client.post("/jobs", json=body).json()
    server.kill()
    key = key_file.read_bytes()
    key_file.write_bytes(b"")
    time.sleep(1.1)  # the job is due
    settings = {"AWAITD_DATA_DIR": str(key_file.parent), "AWAITD_SHUTDOWN_GRACE": "0"}
    assert run("serve", folder=tmp_path, **settings).returncode == 1
    key_file.write_bytes(key)
    server.start()
    while (found := server.job(job["id"]))["status"] == "pending":
        pass
    assert (found["status"], found["attempt"]) == ("running", 1)


def test_a_key_that_cannot_be_made(tmp_path: Path, key_file: Path) -> None:
    """What is in its way stops the start, in one line."""
    key_file.mkdir(parents=True)
    ended = run("serve", folder=tmp_path, AWAITD_DATA_DIR=str(key_file.parent))
    assert ended.returncode == 1
    assert f"cannot use {key_file}" in ended.stderr
    assert "Traceback" not in ended.stderr
