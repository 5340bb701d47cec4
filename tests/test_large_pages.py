"""Large pages, as far as this machine's system gives any."""

import platform
import subprocess
import sys
from pathlib import Path

SYSTEM = Path("/sys/kernel/mm/transparent_hugepage")

MEASURE = """
import mmap
from pathlib import Path
from app.large_pages import move_heap

def kilobytes():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}

"""

HEAP = """
heap = [bytes(200) for _ in range(100_000)]
before = kilobytes()
moved = move_heap()
after = kilobytes()
print(moved >> 10, after["AnonHugePages"], before["Rss"], after["Rss"], move_heap() >> 10)
"""

NEARLY_EMPTY = """
region = mmap.mmap(-1, 4 * {size}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
region[: {size} // 2] = b"x" * ({size} // 2)
before = kilobytes()
move_heap()
print(kilobytes()["Rss"] - before["Rss"])
"""


def test_heap_moves() -> None:
    """What is in memory lies in large pages then, as many as are said, and takes hardly more."""
    moved, large, before, after, again = measured(HEAP)
    assert moved == large <= again
    assert after < 1.1 * before
    assert bool(moved) is gives_any()


def test_what_is_nearly_empty_stays() -> None:
    """A region of which little is in use would take all of its pages."""
    size = int((SYSTEM / "hpage_pmd_size").read_text()) if gives_any() else 1 << 21
    [more] = measured(NEARLY_EMPTY.format(size=size))
    assert more << 10 < size // 2


def measured(script: str) -> list[int]:
    """What a process prints that has hardly anything else in memory."""
    command = [sys.executable, "-c", MEASURE + script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()]


def gives_any() -> bool:
    """Whether the system moves what it is asked to: Linux from 6.1 on, unless it must not."""
    if not SYSTEM.exists() or "[never]" in (SYSTEM / "enabled").read_text():
        return False
    major, minor, *_ = platform.release().split(".")
    return (int(major), int(minor)) >= (6, 1)
