"""The header `Prefer` (RFC 7240): all of its lines, lists and unknown preferences."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

_ITEM: Final = re.compile(r'(?:[^,"]|"[^"]*")+')
_PREFERENCE: Final = re.compile(r'\s*([^\s=;"]+)\s*(?:=\s*(?:"([^"]*)"|([^\s;"]*)))?')

_MAX_LENGTH: Final = 4_096
"""Characters that are looked at; what stands behind them is left out of account."""


class Preferences(Struct, frozen=True):
    """What a caller would like: to wait so many seconds, and the job without its large parts."""

    wait: float = 0.0
    minimal: bool = False

    @property
    def applied(self) -> str:
        """The value of `Preference-Applied`, for an answer for which anything was."""
        parts = [f"wait={self.wait:g}"] if self.wait else []
        return ", ".join(parts + ["return=minimal"] * self.minimal)


def preferences_of(lines: Iterable[str], max_wait: float) -> Preferences:
    """The preferences in the lines of `Prefer`; `wait` is clamped to `max_wait` seconds.

    The first of several equal ones counts; what is not understood is left out of account.
    """
    wanted = _understood(",".join(lines)[:_MAX_LENGTH])
    return wanted if wanted.wait <= max_wait else replace(wanted, wait=max_wait)


@lru_cache(maxsize=256)
def _understood(text: str) -> Preferences:
    """Kept, for a caller prefers the same again and again."""
    found: dict[str, str] = {}
    for item in _ITEM.findall(text):
        if match := _PREFERENCE.match(item):
            name, quoted, bare = match.groups()
            found.setdefault(name.lower(), quoted if quoted is not None else bare or "")
    wait = found.get("wait", "")
    seconds = float(wait) if wait.isascii() and wait.isdigit() else 0.0
    return Preferences(seconds, found.get("return", "").lower() == "minimal")
