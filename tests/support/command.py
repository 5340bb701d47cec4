"""`awaitd` in a process of its own, for commands that end by themselves."""

import subprocess
import sys
from pathlib import Path

from tests.support.server import environment

END_WITHIN = 30.0


def start(*arguments: str, folder: Path, **settings: str) -> subprocess.Popen[str]:
    """Start a command in a folder, with these settings and no others."""
    return subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        cwd=folder,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return finish(start(*arguments, folder=folder, **settings))


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a command to end."""
    try:
        stdout, stderr = process.communicate(timeout=END_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
