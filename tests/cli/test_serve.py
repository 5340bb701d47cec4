import json
import shlex
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import httpx
from typer.testing import CliRunner

from app import __version__
from app.cli.commands import cli
from tests.support.command import finish, start
from tests.support.server import ROOT, Server


def test_it_says_where_everything_is(server: Server) -> None:
    """The first lines name the address, the docs, the data and the tasks."""
    first, *lines = (line.strip() for line in server.announced.splitlines())
    said = dict(line.split(maxsplit=1) for line in lines)
    assert first == f"awaitd {__version__} on {server.url}"
    assert said["docs"] == f"{server.url}/docs"
    assert said["data"] == str(server.folder / "data")
    assert {"sleep", "echo", "check_links"} <= set(said["tasks"].split(", "))


def test_the_line_to_paste_works(server: Server) -> None:
    """The last line is a curl command that submits a job."""
    line = server.announced.splitlines()[-1]
    word, curl, option, body, url = shlex.split(line)
    assert (word, curl, option) == ("try", "curl", "--json")
    assert httpx.post(url, json=json.loads(body), verify=False).status_code == 202


def test_env_file_and_environment(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """`.env` in the working directory is read; the environment goes before it."""
    (tmp_path / ".env").write_text(
        "AWAITD_HOST=localhost\nAWAITD_ACCESS_LOG=true\nawaitd_max_body_size=64\nAWAITD_TASKS=\n"
        "AWAITD_MAX_WAIT=nonsense\nAWAITD_API_KEY=of the client\nSOMETHING_ELSE=1\n"
    )
    server = start_server(AWAITD_MAX_WAIT="0")
    answer = server.client.post("/jobs", json={"task": "echo", "params": {"value": "x" * 64}})
    assert answer.json()["limit"] == 64
    assert "sleep" in server.announced
    assert server.terminate() == 0
    assert '"POST /jobs HTTP/1.1" 413' in server.log


def test_data_is_for_its_owner_alone(server: Server) -> None:
    """The data directory and the files in it are the user's own."""
    folder = server.folder / "data"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


TELLING = """
import pathlib, signal, threading, time

def tell():
    while signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        time.sleep(0.005)
    pathlib.Path("handles signals").touch()

threading.Thread(target=tell, daemon=True).start()
"""


def test_a_signal_ends_it_while_it_waits_for_the_lock(server: Server, tmp_path: Path) -> None:
    """A server that waits for another one's data directory stops at once, with exit code 0."""
    (tmp_path / "telling.py").write_text(TELLING)
    process = start(
        "serve",
        folder=tmp_path,
        AWAITD_DATA_DIR=str(server.folder / "data"),
        AWAITD_LOCK_WAIT="60",
        AWAITD_TASKS="telling.py",
    )
    while not (tmp_path / "handles signals").exists():
        time.sleep(0.005)
    process.terminate()
    ended = finish(process)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_python_m_app_is_the_command() -> None:
    """The command `awaitd` runs what `python -m app` runs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"awaitd": "app.cli:main"}


def test_version_and_help() -> None:
    """`--version` prints the version, and no command at all the help."""
    assert CliRunner().invoke(cli, ["--version"]).stdout == f"{__version__}\n"
    helped = CliRunner().invoke(cli, [])
    for command in ("serve", "health", "backup", "openapi"):
        assert command in helped.output
