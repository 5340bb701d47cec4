"""One data directory, one process: against real second processes."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.engines.embedded.lock import FolderLock, StoreLocked

HOLD = """
import os, sys
from pathlib import Path
from app.engines.embedded.lock import FolderLock
FolderLock(Path(sys.argv[1])).acquire()
if sys.argv[2:] != ["fork"] or os.fork() == 0:
    print("holding", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(store: Path) -> Path:
    """An empty data directory."""
    store.mkdir()
    return store


def take(folder: Path, wait: float = 0.0) -> None:
    """Take the folder, and let it go."""
    lock = FolderLock(folder)
    lock.acquire(wait)
    lock.release()


@contextmanager
def holder(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder until its standard input ends."""
    command = [sys.executable, "-c", HOLD, str(folder), *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        yield process


def test_second_process(folder: Path) -> None:
    """A folder that another process holds is refused, with that process's id."""
    with holder(folder) as other:
        with pytest.raises(StoreLocked, match=f"{folder} is in use by process {other.pid} on "):
            take(folder)
        other.communicate()
    take(folder)


def test_waiting(folder: Path) -> None:
    """With a time to wait, the folder is taken when the other process lets go, or refused."""
    with holder(folder) as other:
        with pytest.raises(StoreLocked):
            take(folder, wait=0.1)
        assert other.stdin is not None
        other.stdin.close()
        take(folder, wait=20)


def test_forked_child_outlives(folder: Path) -> None:
    """A process that was killed holds nothing, though a child that it has forked lives on."""
    with holder(folder, "fork") as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        take(folder)


@pytest.mark.parametrize("note", ["", "not JSON", "[1]", json.dumps({"pid": 1})])
def test_holder_without_a_name(folder: Path, note: str) -> None:
    """A holder whose note cannot be read is another process."""
    lock = FolderLock(folder)
    lock.acquire()
    (folder / "lock").write_text(note)
    with pytest.raises(StoreLocked, match="in use by another process"):
        take(folder)
    lock.release()


def test_release(folder: Path) -> None:
    """What is let go can be taken again, and letting go twice does no harm."""
    lock = FolderLock(folder)
    lock.acquire()
    with pytest.raises(StoreLocked):
        take(folder)
    lock.release()
    lock.release()
    take(folder)


def test_note_of_a_longer_name(folder: Path) -> None:
    """The note names the present holder, however long that of the last one was."""
    (folder / "lock").write_text("x" * 1000)
    take(folder)
    assert set(json.loads((folder / "lock").read_text())) == {"pid", "host"}
