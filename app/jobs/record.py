"""Records: dataclasses that are frozen for the type checker alone.

At run time `frozen=True` makes an instance four times as dear, and every job takes a dozen of them.
They have no hash.
"""

from collections.abc import Callable, Hashable
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, cast

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(*, frozen: bool, slots: bool, kw_only: bool = False):
        """As `dataclass`: nobody changes an instance, though only the type checker says so."""
        assert frozen
        return dataclass(slots=slots, kw_only=kw_only)


def changed(made: T, **values: Any) -> T:
    """A copy of a record with other values: `dataclasses.replace`, at a third of its cost."""
    names, values_of = _fields_of(cast(Hashable, type(made)))
    return type(made)(**(dict(zip(names, values_of(made), strict=True)) | values))


@lru_cache(maxsize=64)
def _fields_of(kind: Hashable) -> tuple[tuple[str, ...], Callable[[object], tuple[object, ...]]]:
    """The names of a record's fields, and what gives their values."""
    names = cast("tuple[str, ...]", vars(kind)["__slots__"])
    return names, attrgetter(*names)


__all__ = ["changed", "record"]
