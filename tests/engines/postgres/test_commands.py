"""The commands that work with a database, as processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import psycopg
import pytest

from app.engines.postgres.migrations import LOCK
from tests.support.command import finish, run, start
from tests.support.server import Server

ECHO: Final = {"task": "echo", "params": {"value": 1}}


def execute(url: str, text: str) -> None:
    """Change the database by hand."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(text.encode())


def how_many(db: psycopg.Connection[tuple[int]], rows: str) -> int:
    """How many rows there are."""
    [[number]] = db.execute(f"SELECT count(*) FROM {rows}".encode()).fetchall()
    return number


def test_migrate_twice(empty_url: str, tmp_path: Path) -> None:
    """`awaitd migrate` says what it did; a second time there is nothing to do."""
    first = run("migrate", folder=tmp_path, AWAITD_DATABASE_URL=empty_url)
    second = run("migrate", folder=tmp_path, AWAITD_DATABASE_URL=empty_url)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "applied procrastinate" in first.stderr
    assert "up to date" in second.stderr


def test_migrate_at_once(empty_url: str, tmp_path: Path) -> None:
    """Two at the same time are as good as one: each waits for who was quicker."""
    with psycopg.connect(empty_url) as quicker:
        quicker.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        started = [
            start("migrate", folder=tmp_path, AWAITD_DATABASE_URL=empty_url) for _ in range(2)
        ]
        while how_many(quicker, "pg_locks WHERE locktype = 'advisory' AND NOT granted") < 2:
            assert all(process.poll() is None for process in started)
    done = [finish(process) for process in started]
    assert [each.returncode for each in done] == [0, 0]
    assert sorted("up to date" in each.stderr for each in done) == [False, True]


@pytest.mark.parametrize("command", [("serve", "--worker"), ("worker",)], ids=" ".join)
def test_no_schema(empty_url: str, tmp_path: Path, command: tuple[str, ...]) -> None:
    """Without a schema nothing starts, and the message says what to run."""
    assert_refused(command, tmp_path, empty_url, "run `awaitd migrate`")


def test_newer_schema(url: str, tmp_path: Path) -> None:
    """With the schema of a newer awaitd nothing starts."""
    execute(url, "INSERT INTO awaitd.migrations VALUES ('9999_later.sql')")
    assert_refused(("serve",), tmp_path, url, "a newer awaitd")


def test_commits_that_do_not_last(url: str, tmp_path: Path) -> None:
    """A database that acknowledges what a crash may lose is refused."""
    execute(url, f"ALTER DATABASE {url.split('/')[3].split('?')[0]} SET synchronous_commit = off")
    assert_refused(("serve",), tmp_path, url, "synchronous_commit=off")


def test_no_database(tmp_path: Path) -> None:
    """Without a database that answers nothing starts, and the message names no password."""
    url = f"postgresql://me:secret@/x?host={tmp_path}"
    assert_refused(("worker",), tmp_path, url, "the database cannot be reached")


def test_a_key_on_another_node(
    url: str, tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    """A submission that is repeated on another node is known there: nodes share what it takes."""
    nodes = [start_server(node_folder(tmp_path, name), AWAITD_DATABASE_URL=url) for name in "ab"]
    answers = [
        node.client.post("/jobs", json=ECHO, headers={"Idempotency-Key": "k"}) for node in nodes
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert answers[0].json()["id"] == answers[1].json()["id"]


def node_folder(folder: Path, name: str) -> Path:
    """A folder of a node's own."""
    (folder / name).mkdir()
    return folder / name


def assert_refused(command: tuple[str, ...], folder: Path, url: str, why: str) -> None:
    """The command ends at once with one message, and exit code 1."""
    done = run(*command, folder=folder, AWAITD_DATABASE_URL=url)
    assert done.returncode == 1
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert not done.stdout
