"""Records: dataclasses that are frozen for the type checker alone.

At run time `frozen=True` makes an instance four times as dear, and every job takes a dozen of them.
They have no hash.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(*, frozen: bool, slots: bool, kw_only: bool = False):
        """As `dataclass`: nobody changes an instance, though only the type checker says so."""
        assert frozen
        return dataclass(slots=slots, kw_only=kw_only)


__all__ = ["record"]
