import contextlib
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.commands import cli
from tests.support.command import Forked
from tests.support.server import Server


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a start: settings and files, the exit code and words of the message."""

    code: int
    words: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], object] = lambda folder: None


def newer_journal(folder: Path) -> None:
    """A journal that a later release has written."""
    (folder / "data").mkdir()
    with closing(sqlite3.connect(folder / "data" / "journal.sqlite3")) as db:
        db.execute("PRAGMA user_version = 999")


def no_journal(folder: Path) -> None:
    """Something else where the journal should be."""
    (folder / "data").mkdir()
    (folder / "data" / "journal.sqlite3").write_text("this is no database, " * 100)


def module(text: str) -> Callable[[Path], object]:
    """A module of tasks with this text."""
    return lambda folder: (folder / "mine.py").write_text(text)


MINE = {"AWAITD_TASKS": "mine.py"}
BEFORE_OPENING = {
    "unknown setting": Wrong(2, ("AWAITD_PROT",), {"AWAITD_PROT": "1"}),
    "unknown setting in .env": Wrong(
        2, ("AWAITD_PROT",), {}, lambda folder: (folder / ".env").write_text("awaitd_prot=1\n")
    ),
    ".env that is no text": Wrong(
        2, (".env",), {}, lambda folder: (folder / ".env").write_bytes(b"AWAITD_PORT=\xff")
    ),
    "two bad values": Wrong(
        2,
        ("AWAITD_PORT: ", "AWAITD_MAX_RUNNING: "),
        {"AWAITD_PORT": "http", "AWAITD_MAX_RUNNING": "0"},
    ),
    "no number": Wrong(2, ("AWAITD_RETENTION: ",), {"AWAITD_RETENTION": "nan"}),
    "more than a clock counts": Wrong(2, ("AWAITD_RETENTION: ",), {"AWAITD_RETENTION": "1e30"}),
    "open address": Wrong(
        2, ("AWAITD_HOST=0.0.0.0", "AWAITD_INSECURE"), {"AWAITD_HOST": "0.0.0.0"}
    ),
    "bad outbound list": Wrong(
        2, ("AWAITD_OUTBOUND_ALLOW: ", "10.0.0.1/8"), {"AWAITD_OUTBOUND_ALLOW": "::1,10.0.0.1/8"}
    ),
    "no secret of webhooks": Wrong(
        2, ("AWAITD_WEBHOOK_SECRET: ", "whsec_$("), {"AWAITD_WEBHOOK_SECRET": "hunter2"}
    ),
    "no such file": Wrong(1, ("'mine.py'", "there is no file"), MINE),
    "no such module": Wrong(1, ("'no.such.module'",), {"AWAITD_TASKS": "no.such.module"}),
    "syntax error": Wrong(1, ("mine.py:2", "SyntaxError"), MINE, module("x = 1\ndef (\n")),
    "module that fails": Wrong(1, ("mine.py:2", "KeyError"), MINE, module("x = {}\nx['a']\n")),
    "module that exits": Wrong(1, ("mine.py:2",), MINE, module("import sys\nsys.exit(0)\n")),
    "bad signature": Wrong(
        1,
        ("mine.py:2", "'guess'"),
        MINE,
        module("from app.jobs import task\n@task\nasync def guess(x): ...\n"),
    ),
    "no coroutine function": Wrong(
        1,
        ("mine.py:2", "async def"),
        MINE,
        module("from app.jobs import task\n@task\ndef f(): ..."),
    ),
}
AT_OPENING = {
    "unknown setting": Wrong(2, ("AWAITD_PROT",), {"AWAITD_PROT": "1"}),
    "data directory in a file": Wrong(
        1, ("data directory",), {}, lambda folder: (folder / "data").write_text("")
    ),
    "newer journal": Wrong(1, ("newer awaitd", "999"), {}, newer_journal),
    "no journal": Wrong(1, ("journal.sqlite3",), {}, no_journal),
    "port in use": Wrong(1, ("port {port}", "AWAITD_PORT"), {"AWAITD_PORT": "{port}"}),
    "data directory in use": Wrong(
        1, ("process {pid}", "AWAITD_LOCK_WAIT"), {"AWAITD_DATA_DIR": "{data}"}
    ),
}


@pytest.fixture
def imports() -> Iterator[None]:
    """What a start imports, and where from, is forgotten at the end of the test."""
    path, modules = sys.path.copy(), sys.modules.copy()
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A port and a data directory that others hold, for the settings to name."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server = stack.enter_context(Server(tmp_path_factory.mktemp("holder")))
        assert server.process is not None
        yield {
            "port": str(listener.getsockname()[1]),
            "pid": str(server.process.pid),
            "data": str(server.folder / "data"),
        }


@pytest.mark.usefixtures("imports")
@pytest.mark.parametrize("wrong", BEFORE_OPENING.values(), ids=BEFORE_OPENING.keys())
def test_a_wrong_setting_or_module_is_one_message(wrong: Wrong, tmp_path: Path) -> None:
    """Before anything is opened one message says what to change; a setting is exit 2."""
    wrong.prepare(tmp_path)
    with contextlib.chdir(tmp_path):
        result = CliRunner().invoke(cli, ["serve"], env=wrong.settings)
    assert result.stderr.startswith("awaitd: ")
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr
    for word in wrong.words:
        assert word in result.stderr
    assert (result.exit_code, result.stdout) == (wrong.code, "")
    assert not (tmp_path / "awaitd-data").exists()


@pytest.mark.parametrize("name", AT_OPENING)
def test_a_wrong_start_is_one_message(taken: dict[str, str], tmp_path: Path, name: str) -> None:
    """Nothing listens, one message says what to change, and the process ends by itself."""
    wrong = AT_OPENING[name]
    wrong.prepare(tmp_path)
    settings = {key: value.format(**taken) for key, value in wrong.settings.items()}
    # In debug mode the event loop says which step was slow.
    settings = {"AWAITD_DATA_DIR": str(tmp_path / "data"), "PYTHONASYNCIODEBUG": "", **settings}
    ended = Forked("serve", folder=tmp_path, **settings).finish()
    assert ended.stderr.startswith("awaitd: ")
    assert "Traceback" not in ended.stderr
    for word in wrong.words:
        assert word.format(**taken) in ended.stderr
    assert (ended.returncode, ended.stdout) == (wrong.code, "")
