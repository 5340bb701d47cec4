"""Times as clients and receivers of webhooks see them: RFC 3339."""

from datetime import UTC, datetime
from functools import lru_cache

from app.jobs.models import Millis


def rfc3339(time: Millis | None) -> str | None:
    """A time in UTC with milliseconds."""
    if time is None:
        return None
    seconds, millis = divmod(time, 1000)
    return f"{_date_and_time(seconds)}.{millis:03d}Z"


@lru_cache(maxsize=4096)
def _date_and_time(seconds: int) -> str:
    """Kept, for the times of jobs that are looked at lie close together."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
