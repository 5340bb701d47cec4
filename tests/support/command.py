"""`awaitd` in a process of its own, for commands that end by themselves."""

import subprocess
import sys
from contextlib import ExitStack
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


class Forked:
    """A command that is forked; what it says is read at its end."""

    def __init__(self, *arguments: str, folder: Path, **settings: str) -> None:
        self._open = ExitStack()
        self._stdout = self._open.enter_context(TemporaryFile("w+"))  # noqa: SIM115, `finish` closes it
        self._stderr = self._open.enter_context(TemporaryFile("w+"))  # noqa: SIM115, as above
        self.process = WarmProcess(
            arguments,
            folder=folder,
            env=environment(**settings),
            stdout=self._stdout.fileno(),
            stderr=self._stderr.fileno(),
        )

    def finish(self) -> subprocess.CompletedProcess[str]:
        """Wait for it to end; kills it if it does not."""
        try:
            code = self.process.wait(END_WITHIN)
        finally:
            self.process.kill()
        with self._open:
            self._stdout.seek(0)
            self._stderr.seek(0)
            stdout, stderr = self._stdout.read(), self._stderr.read()
        return subprocess.CompletedProcess(self.process.args, code, stdout, stderr)


def run(*arguments: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; it is forked, unless settings are not only our own."""
    if not all(name.startswith("AWAITD_") for name in settings):
        return finish(start(*arguments, folder=folder, **settings))
    return Forked(*arguments, folder=folder, **settings).finish()


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a command to end."""
    try:
        stdout, stderr = process.communicate(timeout=END_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
