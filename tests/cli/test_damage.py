from collections.abc import Callable
from pathlib import Path

from tests.support.command import run
from tests.support.server import Server

PAGE = 4_096


def damage(path: Path, mark: bytes) -> None:
    """Overwrite every page of a journal that is full of a mark: those beyond the row's own."""
    content = path.read_bytes()
    pages = [content[at : at + PAGE] for at in range(0, len(content), PAGE)]
    path.write_bytes(b"".join(bytes(PAGE) if p.count(mark) > 4_000 else p for p in pages))


def test_damage_at_the_start(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """A damaged journal is refused in one line with the commands that restore one: exit 1."""
    server = start_server()
    server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    assert server.terminate() == 0
    file = tmp_path / "data" / "journal.sqlite3"
    file.write_bytes(file.read_bytes()[: -2 * PAGE])
    ended = run("serve", folder=tmp_path, AWAITD_DATA_DIR=str(tmp_path / "data"))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(f"awaitd: {file} is damaged, or no journal (")
    assert "malformed" in ended.stderr
    assert f"rm -f {file}-wal {file}-shm && install -m 600 BACKUP {file}" in ended.stderr


def test_damage_that_shows_itself_later(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """What meets damage is 503; then submissions are too, and the log says once what to do."""
    server = start_server()
    large = server.submit("echo", value="x" * 100_000, headers={"Prefer": "wait=10"})
    sound = server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    assert server.terminate() == 0
    file = tmp_path / "data" / "journal.sqlite3"
    damage(file, b"x")
    server.start()
    assert server.client.get("/readyz").status_code == 200
    for _ in range(2):
        answer = server.client.get(large["links"]["self"])
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/store-unavailable")
    ready = server.client.get("/readyz")
    assert ready.status_code == 503
    assert "the journal is damaged (CorruptError: " in ready.json()["reason"]
    body = {"task": "echo", "params": {"value": 1}}
    assert server.client.post("/jobs", json=body).status_code == 503
    assert server.client.get("/backup").status_code == 503
    assert server.job(sound["id"]) == sound
    assert server.log.count(f"{file} is damaged (CorruptError: ") == 1
    assert f"install -m 600 BACKUP {file}" in server.log
    assert "Traceback" not in server.log
    assert server.terminate() == 0
