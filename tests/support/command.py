"""`awaitd` in a process of its own, for commands that end by themselves."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile

from tests.support.server import environment
from tests.support.warm import WarmProcess

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
    """Run a command to its end; it is forked, unless settings are not only our own."""
    if not all(name.startswith("AWAITD_") for name in settings):
        return finish(start(*arguments, folder=folder, **settings))
    with TemporaryFile("w+") as stdout, TemporaryFile("w+") as stderr:
        process = WarmProcess(
            arguments,
            folder=folder,
            env=environment(**settings),
            stdout=stdout.fileno(),
            stderr=stderr.fileno(),
        )
        try:
            code = process.wait(END_WITHIN)
        finally:
            process.kill()
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess(arguments, code, stdout.read(), stderr.read())


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a command to end."""
    try:
        stdout, stderr = process.communicate(timeout=END_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
