"""Files that tasks in another process wait for."""

import time
from pathlib import Path


def open_gate(path: Path, text: str = "") -> None:
    """Make the file, with its text in it from the first moment on."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text)
    unfinished.rename(path)


def wait_for(path: Path) -> None:
    """Return once another process has made the file."""
    while not path.exists():
        time.sleep(0.01)
