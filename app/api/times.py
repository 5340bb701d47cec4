"""Times as clients send them: RFC 3339."""

import re
from datetime import datetime
from typing import Any, Final

from app.jobs.models import Millis

_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


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
