"""Job ids: UUIDv7 (RFC 9562) whose upper half alone is unique and ordered within one store.

The upper 64 bits are 48 bits of milliseconds, the version and a 12-bit counter (method 1 of the
RFC), so that a store can use them as a time-ordered integer key; the lower 62 bits are random.
"""

import os
import re
import struct
from collections.abc import Callable, Iterator
from typing import Final
from uuid import UUID, SafeUUID

from app.jobs.kept import Kept, Lately

_VERSION: Final = 0x7000
_VARIANT: Final = 1 << 63
_COUNTER: Final = 0x0FFF
_HALVES: Final = struct.Struct(">qq")
_LOW: Final = struct.Struct(">Q")
_FORM: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_set_int: Final[Callable[[UUID, int], None]] = vars(UUID)["int"].__set__
_set_is_safe: Final[Callable[[UUID, SafeUUID], None]] = vars(UUID)["is_safe"].__set__
# A UUID refuses `setattr`; these are what its own `__init__` comes down to.

_UNKNOWN: Final = SafeUUID.unknown

_AT_ONCE: Final = 256
"""Ids for which randomness is fetched at a time: each fetch is a call of the system."""


class JobIds:
    """Makes ids that only grow, also when the clock steps back or the process restarts.

    `last` is the upper half of the newest id given out before; `random_bytes` gives so many bytes.
    """

    def __init__(
        self,
        now: Callable[[], int],
        last: int = 0,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._now = now
        self._last = last
        self._lows = _lows(random_bytes)

    def next(self) -> UUID:
        """A new id, of the present millisecond or of the last id's when that is later."""
        fresh = self._now() << 16 | _VERSION
        self._last = fresh if fresh > self._last else _following(self._last)
        return id_of(self._last << 64 | next(self._lows))


def id_of(number: int) -> UUID:
    """The id of a number of 128 bits: `UUID(int=number)` without its questions about all else."""
    made = UUID.__new__(UUID)
    _set_int(made, number)
    _set_is_safe(made, _UNKNOWN)
    return made


def id_text(job_id: UUID) -> str:
    """The id as clients see it."""
    return _TEXT.get(job_id.int) or _written(job_id)


def id_in(text: str) -> UUID | None:
    """The id that clients mean, in its one spelling, in either case; None for anything else."""
    try:
        return _ID[text]
    except ValueError:
        return None


def _written(job_id: UUID) -> str:
    digits = job_id.int.to_bytes(16).hex()
    text = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    _TEXT.keep(job_id.int, text)
    _ID.keep(text, job_id)  # whoever is shown it is likely to ask for it next
    return text


def _id_of_text(text: str) -> UUID:
    if not _FORM.fullmatch(text):
        raise ValueError("it is no UUID")  # and nothing is kept, however long it is
    return id_of(int(text.replace("-", ""), 16))


_ID: Final = Kept(_id_of_text)
_TEXT: Final = Lately[int, str]()
"""Kept, for a job's is written and read several times."""


def halves(job_id: UUID) -> tuple[int, int]:
    """The upper and lower 64 bits as signed integers, which is what SQL stores hold."""
    high, low = _HALVES.unpack(job_id.int.to_bytes(16))
    return high, low


def from_halves(high: int, low: int) -> UUID:
    """The inverse of `halves`."""
    return id_of(int.from_bytes(_HALVES.pack(high, low)))


def created_at(job_id: UUID) -> int:
    """The milliseconds since the Unix epoch that a UUIDv7 carries."""
    return job_id.int >> 80


def first_at(millis: int) -> UUID:
    """The smallest id that can carry this time: where a list of jobs since then starts."""
    return id_of((millis << 16 | _VERSION) << 64)


def _lows(random_bytes: Callable[[int], bytes]) -> Iterator[int]:
    """Lower halves: the variant and 62 random bits."""
    while True:
        for (number,) in _LOW.iter_unpack(random_bytes(_AT_ONCE * _LOW.size)):
            yield _VARIANT | number >> 2


def _following(high: int) -> int:
    """The next upper half: the counter one up, over into the next millisecond when it is full."""
    if high & _COUNTER != _COUNTER:
        return high + 1
    return (high >> 16) + 1 << 16 | _VERSION
