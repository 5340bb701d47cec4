"""How long answers took, by what was asked."""

from collections import defaultdict
from functools import partial
from time import perf_counter
from typing import Final, TypeAlias

from app.jobs.observer import OF_ANSWERS, Buckets

ByStatus: TypeAlias = defaultdict[int, Buckets]
"""Seconds until answers were complete, by their status."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
GONE: Final = 499
"""The status of an answer that nobody was left to be given, as proxies count it."""

_OTHER: Final = "other"
"""A method or a path of nobody's: strangers make up neither names nor numbers of metrics."""


class Traffic:
    """Counts answers by method, route template and status."""

    def __init__(self) -> None:
        self.answers: defaultdict[tuple[str, str], ByStatus] = defaultdict(by_status)

    def answered(self, method: str, route: object, status: int, begin: float) -> None:
        """Count one answer to a request that came at `begin` by `perf_counter`.

        It may be of any method, and there may be no route for it.
        """
        path = getattr(route, "path", _OTHER)
        answers = self.answers[method if method in _METHODS else _OTHER, path]
        answers[status].add(perf_counter() - begin)


def by_status() -> ByStatus:
    """None yet."""
    return defaultdict(partial(Buckets, OF_ANSWERS))
