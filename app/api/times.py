"""Times as clients send and see them: RFC 3339."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from app.jobs.models import Millis

_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


@lru_cache(maxsize=4096)
def rfc3339(time: Millis | None) -> str | None:
    """A time as clients see it: UTC with milliseconds. Kept, for a job has some of its twice."""
    if time is None:
        return None
    seconds, millis = divmod(time, 1000)
    return f"{_date_and_time(seconds)}.{millis:03d}Z"


def require_rfc3339(value: Any) -> str:
    """Let only RFC 3339 through, no Unix time and no date alone; raises `ValueError`."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("give a time as RFC 3339 has it, such as 2027-01-31T09:30:00Z")
    return value


def millis_of(text: str) -> Millis:
    """The time in a text; raises `ValueError`."""
    try:
        time = datetime.fromisoformat(require_rfc3339(text).upper())
        return round(time.timestamp() * 1000)
    except OverflowError as error:
        raise ValueError("the time is out of range") from error


@lru_cache(maxsize=4096)
def _date_and_time(seconds: int) -> str:
    """Kept, for the times of jobs that are looked at lie close together."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
