"""Whether a value is all there, or made only while it is read: maybe without end."""

import dataclasses
from collections import deque
from collections.abc import Collection
from types import NoneType
from typing import Any, Final

from pydantic import BaseModel

_PLAIN: Final = frozenset({str, int, float, bool, NoneType, bytes})
_INDEXED: Final[tuple[type[Any], ...]] = (list, tuple)
_WALKED: Final[tuple[type[Any], ...]] = (set, frozenset, deque)
_SOUND: Final = frozenset({dict, *_INDEXED, *_WALKED})
"""Python's own, most of what there is: looked at without further questions."""


def holds_iterator(value: Any) -> bool:
    """True if the value is an iterator or a set that walks as one, or one stands inside of it.

    Looks into lists, dicts, sets, models and dataclasses, circular ones too.
    """
    left, seen = [value], set()
    while left:
        value = left.pop()
        kind = type(value)
        if kind in _PLAIN or id(value) in seen:
            continue
        if kind not in _SOUND and _runs_code(kind):
            return True
        parts = _parts_of(value)
        if not _PLAIN.issuperset(map(type, parts)):
            seen.add(id(value))
            left.extend(parts)
    return False


def _runs_code(kind: type[Any]) -> bool:
    """Whether its items are made by code that may never end."""
    if hasattr(kind, "__next__"):
        return True
    return any(issubclass(kind, base) and kind.__iter__ is not base.__iter__ for base in _WALKED)


def _parts_of(value: Any) -> Collection[Any]:
    kind = type(value)  # not by isinstance, to which an object may answer anything
    if kind is dict:  # before the others, for it is the most frequent
        return dict.values(value)
    for base in (*_INDEXED, *_WALKED):
        if issubclass(kind, base):
            return value if kind is base else tuple(base.__iter__(value))
    if issubclass(kind, dict):
        return dict.values(value)
    if issubclass(kind, BaseModel):
        return [*vars(value).values(), *(value.__pydantic_extra__ or {}).values()]
    if dataclasses.is_dataclass(kind):
        return [getattr(value, field.name) for field in dataclasses.fields(kind)]
    return ()
