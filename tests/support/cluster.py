"""Worker processes of a database, beside the servers that accept the jobs."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.server import END_WITHIN, environment, require_clean


@contextmanager
def working(folder: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """`awaitd worker` while the block runs, which then stops cleanly."""
    log = folder / "worker.log"
    command = [sys.executable, "-m", "app", "worker"]
    with log.open("a") as stderr:
        env = environment(**settings)
        process = subprocess.Popen(command, cwd=folder, env=env, stderr=stderr)
    try:
        yield process
        process.terminate()
        assert process.wait(END_WITHIN) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    require_clean(log.read_text())
