"""Changes of the journal that are queued, and how a batch of them is made."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import apsw
from msgspec import Struct

from app.jobs.errors import StoreUnavailable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Answer: TypeAlias = tuple[Callable[[Any], None], Any]
"""Who is called on the event loop, and with what."""

log = logging.getLogger(__name__)

_STORE_ERRORS: Final = (
    apsw.FullError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.NoMemError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.AbortError,
    apsw.InterruptError,
    apsw.PermissionsError,
    apsw.ProtocolError,
)

_kind_of: Final = attrgetter("change.__class__")

_PATIENCE: Final = 1_000
"""Milliseconds to wait for another connection that begins to write when a batch is made anew."""


class Change(Protocol[T_co]):
    """One change of the journal."""

    def run(self, db: apsw.Connection) -> T_co:
        """Make the change and say what came of it.

        It may be made again after its transaction was rolled back. A kind of changes that are
        cheaper together also has `run_many(db, changes)`, which says it of each; they too may be
        made again after that, then each alone.
        """

    def happened(self, db: apsw.Connection) -> T_co | None:
        """After a commit of unknown fate: what `run` gave if the change was made, else None."""


class Write(Struct, Generic[T], frozen=True):
    """A change that is queued. Callbacks run on the event loop, in the order of submission."""

    change: Change[T]
    then: Callable[[T], None]
    """Called with what the change gave, once it is durable."""
    refused: Callable[[StoreUnavailable], None] | None = None
    """Called when it cannot be made. None: it is kept, and tried again until it is made.

    One that even a sound store could not make, by a defect of ours, gives `then` None instead.
    """
    can_wait: bool = False
    """Whether nobody waits for it yet: it had better share the commit of what comes next."""
    size: int = 0
    """How many bytes it writes, where that may be many."""


def make(db: apsw.Connection, batch: Sequence[Write[Any]]) -> list[Answer]:
    """Make the changes in a transaction that has just begun; gives what is due after its commit.

    Raises what says that the store fails; a change that none could make is told so, and alone.
    """
    try:
        return list(_each(db, batch))
    except _STORE_ERRORS:
        raise
    except Exception:  # a defect of ours, which each of the others is kept out of
        # All anew: a savepoint would cost each batch a copy of every page that it changes.
        db.set_busy_timeout(_PATIENCE)
        db.execute("ROLLBACK; BEGIN IMMEDIATE")
        return [_run_apart(db, write) for write in batch]


def _each(db: apsw.Connection, batch: Sequence[Write[Any]]) -> Iterator[Answer]:
    """Make the changes in their order, those of a kind that follow each other at once if it can."""
    for kind, writes in groupby(batch, _kind_of):
        alike = tuple(writes)
        many = getattr(kind, "run_many", None)
        if many is None or len(alike) == 1:
            for write in alike:
                yield write.then, write.change.run(db)
        else:
            values = many(db, [write.change for write in alike])
            yield from zip([write.then for write in alike], values, strict=True)


def _run_apart(db: apsw.Connection, write: Write[Any]) -> Answer:
    """Make one change, or nothing of it; gives the answer that is due once it is durable."""
    db.execute("SAVEPOINT one")
    try:
        answer: Answer = (write.then, write.change.run(db))
    except _STORE_ERRORS:
        raise
    except Exception as error:
        log.exception("a change could not be made: %s", type(write.change).__name__)
        db.execute("ROLLBACK TO one")
        answer = _without_effect(write, error)
    db.execute("RELEASE one")
    return answer


def _without_effect(write: Write[Any], error: Exception) -> Answer:
    if write.refused is None:
        return write.then, None
    return write.refused, StoreUnavailable(f"the change could not be made ({error})")
