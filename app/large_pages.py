"""What a process holds once it has started, moved into large pages: Linux 6.1 and later.

Classes, functions and modules lie scattered over ten thousand pages of 4 KiB. A processor has the
places of a few hundred at hand and looks up all others, in a virtual machine twice; as twenty pages
of 2 MiB it has them all. Once is enough: what comes later finds room among what was there.
"""

import ctypes
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SYSTEM: Final = Path("/sys/kernel/mm/transparent_hugepage")
_MAPS: Final = Path("/proc/self/maps")

_COLLAPSE: Final = 25
"""Linux's MADV_COLLAPSE."""

_NEARLY_FULL: Final = 0.75
"""How much of a large page has to be in use already: what is not would be taken as well."""


def move_heap() -> int:
    """Move what lies in memory into large pages, where they would be nearly full.

    Gives how many bytes lie there now: none where the system has no such pages, or allows none.
    Takes some milliseconds for each, in which nothing else happens.
    """
    try:
        size = int((_SYSTEM / "hpage_pmd_size").read_text())
        forbidden = "[never]" in (_SYSTEM / "enabled").read_text()
        regions = list(_regions(_MAPS.read_text()))
        system = ctypes.CDLL(None)
    except (OSError, ValueError):  # another system
        return 0
    pages = [] if forbidden else [page for region in regions for page in _within(region, size)]
    return sum(size for page in pages if _moves(system, page, size))


def _regions(maps: str) -> Iterator[tuple[int, int]]:
    """Where the process's own data lie: neither of a file, nor shared, nor on the stack."""
    for line in maps.splitlines():
        place, access, _, _, file, *name = line.split(maxsplit=5)
        if access == "rw-p" and file == "0" and name in ([], ["[heap]"]):
            begin, end = (int(part, 16) for part in place.split("-"))
            yield begin, end


def _within(region: tuple[int, int], size: int) -> range:
    """Where the large pages begin that fit into a region."""
    begin, end = region
    return range(-(-begin // size) * size, end - size + 1, size)


def _moves(system: ctypes.CDLL, page: int, size: int) -> bool:
    place, length = ctypes.c_void_p(page), ctypes.c_size_t(size)
    in_use = (ctypes.c_ubyte * (size // mmap.PAGESIZE))()
    if system.mincore(place, length, in_use) or sum(in_use) < _NEARLY_FULL * len(in_use):
        return False
    moved: int = system.madvise(place, length, _COLLAPSE)
    return moved == 0
