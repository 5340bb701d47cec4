"""What was found lately, kept because it is asked for again soon or never."""

from collections.abc import Callable
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST: Final = 256
"""Answers that are kept: few, for what every job leaves behind should fit into a cache."""


class Lately(dict[K, V]):
    """Answers by what was asked.

    All are forgotten when there are too many, which is good enough for what is asked for again
    within a moment.
    """

    def keep(self, argument: K, answer: V) -> None:
        """Keep an answer."""
        if len(self) >= MOST:
            self.clear()
        self[argument] = answer


class Kept(Lately[K, V]):
    """The answers of a function, by its argument: `kept[argument]`.

    A third of what `functools.lru_cache` takes to find one; half of that again by a call of its
    `__getitem__`, since the operator on a class of our own takes the long way there.
    """

    def __init__(self, answer_to: Callable[[K], V]) -> None:
        super().__init__()
        self._answer_to = answer_to

    def __missing__(self, argument: K) -> V:
        """Find the answer, and keep it."""
        answer = self._answer_to(argument)
        self.keep(argument, answer)
        return answer
