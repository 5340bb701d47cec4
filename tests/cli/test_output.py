"""Where the output of a command goes wrong: one message, and never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import environment

COMMAND = f"{sys.executable} -c 'from app.cli import main; main()'"


def run(line: str) -> "subprocess.CompletedProcess[str]":
    """What a line of a shell does, in which `awaitd` is the command."""
    script = f'set -o pipefail; awaitd() {{ {COMMAND} "$@"; }}; {line}'
    env = environment(PYTHONPATH=os.fspath(Path(__file__).parents[2]))
    return subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("awaitd --version >/dev/full", 1, "No space left on device"),
        ("awaitd --help >/dev/full", 1, "No space left on device"),
        ("awaitd openapi >/dev/full", 1, "No space left on device"),
        ("awaitd --version >&-", 1, "stdout is closed"),
        ("awaitd openapi | true", 1, ""),
        ("awaitd run echo --params - <&-", 2, "stdin, which is closed"),
    ],
)
def test_what_cannot_be_written_or_read(line: str, code: int, message: str) -> None:
    """A full disk, a closed stdout or stdin, and a reader that went away end a command alike."""
    ran = run(line)
    assert (ran.returncode, "Traceback" in ran.stderr) == (code, False), ran.stderr
    assert message in ran.stderr


INTERRUPTED = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from app.cli import main
main()
"""


def test_an_interrupt_while_it_starts() -> None:
    """Ctrl-C before the command has been read is exit 130 without a word."""
    env = environment(PYTHONPATH=os.fspath(Path(__file__).parents[2]))
    command = [sys.executable, "-c", INTERRUPTED, "tasks"]
    ran = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (130, "")
