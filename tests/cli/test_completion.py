"""Completion in the shell that people use."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal
from tests.support.server import Server, environment

BASH = "/bin/bash"

pytestmark = pytest.mark.skipif(not Path(BASH).exists(), reason="there is no bash")

COMPLETE = """
. "$SCRIPT"
COMP_WORDS=(awaitd "$@")
COMP_CWORD=$#
_awaitd_completion awaitd
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where to find programs, `awaitd` among them."""
    folder: Path = tmp_path_factory.mktemp("bin")
    program = folder / "awaitd"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m app "$@"\n')
    program.chmod(0o755)
    (folder / "script").write_text(_bash("awaitd --show-completion bash || exit", PATH=str(folder)))
    return f"{folder}:/usr/bin:/bin"


def completed(path: str, url: str, *words: str) -> list[str]:
    """What bash offers for the last of these words."""
    script = str(Path(path.partition(":")[0]) / "script")
    return _bash(COMPLETE, *words, PATH=path, AWAITD_URL=url, SCRIPT=script).split()


def _bash(command: str, *words: str, **settings: str) -> str:
    ended = subprocess.run(
        [BASH, "--norc", "--noprofile", "-c", command, "bash", *words],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_in_an_interactive_shell(jobs: Server, path: str, tmp_path: Path) -> None:
    """Tab completes the name of a task, and the line then runs."""
    settings = {"AWAITD_URL": jobs.url, "PATH": path, "PS1": "$ "}
    with Terminal([BASH, "--norc", "--noprofile", "-i"], tmp_path, settings) as terminal:
        terminal.press('eval "$(awaitd --show-completion bash)"; echo rea""dy\n')
        terminal.until(r"ready\r\n")
        terminal.press("awaitd run ech\t")
        terminal.until(r"echo ")
        terminal.press("value=4711 --wait 2>/dev/null\n")
        terminal.until(r"4711\r\n")
        terminal.press("exit\n")
        assert terminal.rest()[0] == 0


def test_words(jobs: Server, path: str) -> None:
    """Commands, tasks, statuses and ids of jobs are completed; to cancel, only what can be."""
    assert completed(path, jobs.url, "hea") == ["health"]
    assert completed(path, jobs.url, "run", "count_p") == ["count_primes"]
    assert completed(path, jobs.url, "ls", "--status", "c") == ["completed", "cancelled"]
    ended, running = jobs.submit("echo", value=1)["id"], jobs.submit("never_end")["id"]
    assert jobs.job(ended, wait=10)["done"]
    assert {ended, running} <= set(completed(path, jobs.url, "show", running[:4]))
    stoppable = completed(path, jobs.url, "cancel", "")
    assert running in stoppable
    assert ended not in stoppable
    jobs.client.delete(f"/jobs/{running}")


def test_no_server(path: str) -> None:
    """Without a server, or with one that says nothing, there is nothing to offer, and no hang."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert completed(path, url, "run", "s") == []
    assert completed(path, url, "run", "s") == []
