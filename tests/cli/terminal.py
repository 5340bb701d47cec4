"""A terminal of a test's own, with a program in it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.server import environment

END_WITHIN = 30.0


class Terminal:
    """A program whose stdin and stderr, and stdout unless it is piped, are a terminal."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        settings: Mapping[str, str],
        stdout: int | None = None,
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        env = environment(**{"TERM": "xterm-256color", **settings})
        for name in ("NO_COLOR", "FORCE_COLOR"):
            if name not in settings:
                env.pop(name, None)
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            preexec_fn=take_terminal,
        )
        os.close(slave)
        self.seen = ""
        """What it has shown so far."""

    def press(self, text: str) -> None:
        """Press these keys."""
        os.write(self._master, text.encode())

    def until(self, pattern: str) -> str:
        """What it shows from here on until something is seen; fails if it ends before."""
        start = len(self.seen)
        while not (match := re.search(pattern, self.seen[start:])):
            chunk = self._read()
            assert chunk, f"it ended without {pattern!r}: {self.seen!r}"
            self.seen += chunk
        return self.seen[start : start + match.end()]

    def rest(self) -> tuple[int, str]:
        """Its exit code and its stdout, if that is piped, once it has ended."""
        while chunk := self._read():
            self.seen += chunk
        output = b""
        if self.process.stdout is not None:
            output = self.process.stdout.read()
        return self.process.wait(END_WITHIN), output.decode()

    def _read(self) -> str:
        try:
            return os.read(self._master, 1 << 16).decode()
        except OSError:  # nobody has it open any more
            return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        os.close(self._master)
