"""The commands that work with a database, as processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import psycopg
import pytest

from app.engines.postgres.connections import open_schema
from app.engines.postgres.migrations import LOCK, migrate
from app.jobs.errors import StartUpError
from app.main import require_postgres
from app.settings import BadSettings
from tests.support.command import Forked, run, start
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
    assert second.stderr == "awaitd: the schema is up to date\n"


def test_migrate_at_once(empty_url: str, tmp_path: Path) -> None:
    """Two at the same time are as good as one: each waits for who was quicker."""
    with psycopg.connect(empty_url) as quicker:
        quicker.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        started = [
            Forked("migrate", folder=tmp_path, AWAITD_DATABASE_URL=empty_url) for _ in range(2)
        ]
        while how_many(quicker, "pg_locks WHERE locktype = 'advisory' AND NOT granted") < 2:
            assert all(each.process.poll() is None for each in started)
    done = [each.finish() for each in started]
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


@pytest.mark.parametrize(
    "wrong",
    [
        "http://me:secret@h/x",
        "postgresql://me:sec ret@h/x",
        "postgresql://me:%zz-secret@h/x",
        "postgresql://me:p@secret@h/x",
        "postgresql://me:secret/word@h/x",
    ],
)
def test_no_connection_string(wrong: str) -> None:
    """A setting that is no connection string is refused as such; nothing of it is shown."""
    with pytest.raises(BadSettings, match="no connection string") as caught:
        require_postgres(wrong)
    assert "secret" not in str(caught.value)


async def test_a_database_that_is_not_there(url: str, tmp_path: Path) -> None:
    """A server that is not there, and one without this database or user, is said in one line."""
    socket = url.partition("?")[2]
    for wrong, why in (
        (f"postgresql://me:secret@/x?host={tmp_path}", "the database cannot be reached"),
        ("postgresql://me:secret@nowhere.invalid/x", "nowhere.invalid"),
        (f"postgresql://postgres:secret@/nothing?{socket}", 'database "nothing" does not exist'),
        (f"postgresql://me:secret@/x?{socket}", 'role "me" does not exist'),
    ):
        with pytest.raises(StartUpError, match=why) as by_migrate:
            migrate(wrong)
        with pytest.raises(StartUpError, match=why) as by_node:
            await open_schema(wrong)
        for error in (by_migrate.value, by_node.value):
            assert not {"\n", "secret"} & {*str(error), *str(error).split()}


@pytest.mark.parametrize("command", [("serve",), ("worker",), ("migrate",)], ids=" ".join)
def test_no_database(url: str, tmp_path: Path, command: tuple[str, ...]) -> None:
    """Without a database nothing starts: the message names no password, and is no traceback."""
    assert_refused(command, tmp_path, "postgresql://me:p@secret@h/x", "AWAITD_DATABASE_URL", code=2)
    wrong = url.replace("postgres@", "me:secret@")
    assert_refused(command, tmp_path, wrong, 'role "me" does not exist')


def test_a_user_who_may_not(empty_url: str, tmp_path: Path) -> None:
    """A user who may not make the schema is told so in one line."""
    with psycopg.connect(empty_url, autocommit=True) as db:
        db.execute("DROP ROLE IF EXISTS weak")
        db.execute("CREATE ROLE weak LOGIN")
    url = empty_url.replace("postgres@", "weak@")
    assert_refused(("migrate",), tmp_path, url, "permission denied")


def test_a_worker_without_a_database(tmp_path: Path) -> None:
    """Only with a database `awaitd serve` may be told to work: else it does anyway."""
    done = run("serve", "--worker", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "AWAITD_DATABASE_URL" in done.stderr


@pytest.mark.parametrize("command", [("serve", "--worker"), ("worker",)], ids=" ".join)
def test_what_has_started(url: str, tmp_path: Path, command: tuple[str, ...]) -> None:
    """A node says of which database it is, with which tasks; and nothing of a password."""
    name, socket = url.partition("/awaitd_")[2].split("?host=")
    url = url.replace("postgres@", "postgres:secret@")
    with start(*command, folder=tmp_path, AWAITD_DATABASE_URL=url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stdout.readline()
        process.terminate()
        said += process.stdout.read()
        log = process.stderr.read()
    assert process.returncode == 0
    assert said.count("awaitd ") == 1
    assert f"\n  data   PostgreSQL database awaitd_{name} on {unquote(socket)}\n" in said
    assert ", echo," in said
    assert "secret" not in said + log


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


def assert_refused(
    command: tuple[str, ...], folder: Path, url: str, why: str, *, code: int = 1
) -> None:
    """The command ends at once with one message of one line."""
    done = run(*command, folder=folder, AWAITD_DATABASE_URL=url)
    assert done.returncode == code
    assert why in done.stderr
    own = [line for line in done.stderr.splitlines() if " WARNING asyncio: " not in line]
    assert len(own) == 1, done.stderr  # asyncio's are of a slow machine
    assert "secret" not in done.stderr
    assert not done.stdout
