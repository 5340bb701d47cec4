"""How long answers took, by what was asked."""

from collections import defaultdict
from functools import partial
from time import perf_counter
from typing import Final

from app.jobs.observer import OF_ANSWERS, Buckets

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER: Final = "other"
"""A method or a path of nobody's: strangers make up neither names nor numbers of metrics."""


class Traffic:
    """Counts answers by method, route template and status."""

    def __init__(self) -> None:
        self.answers: defaultdict[tuple[str, str, int], Buckets] = defaultdict(
            partial(Buckets, OF_ANSWERS)
        )

    def answered(self, method: str, route: str, status: int, begin: float) -> None:
        """Count one answer, to a request that came at `begin` by `perf_counter`."""
        self.answers[method, route, status].add(perf_counter() - begin)

    def answered_by_routes(self, method: str, route: object, status: int, begin: float) -> None:
        """Count one to a request of any method, for which there may be a route."""
        path = getattr(route, "path", _OTHER)
        self.answered(method if method in _METHODS else _OTHER, path, status, begin)
