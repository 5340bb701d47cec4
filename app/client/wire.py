"""Requests and answers as values: what is asked for, and how to read what came."""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID

from app.client.errors import NotAwaitd

T = TypeVar("T")

MAX_WAIT: Final = 50
"""Seconds that the service is asked to hold an answer back at most; many proxies give up at 60."""

SUMMARY: Final = {"Prefer": "return=minimal"}
"""A job without its params, result, attempts and webhook."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. All of them may be sent again: submissions carry an idempotency key."""

    method: str
    target: str
    """Path and query, below the service's URL."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    wait: int = 0
    """Seconds that the service may hold the answer back."""
    within: float | None = None
    """Seconds within which there has to be an answer; None: the client's own."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Not to ask for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service said to a request: no error, those are raised."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes

    def read(self, reader: Callable[[Any], T]) -> T:
        """What `reader` makes of the JSON; raises `NotAwaitd` if it is no answer of awaitd's."""
        try:
            return reader(json.loads(self.body))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NotAwaitd(f"it answered {self.status}, but not as awaitd does") from error


Steps: TypeAlias = Generator[Request | Pause, Answer | None, T]
"""What one call does: it yields requests, is sent their answers (or thrown an `AwaitdError`), and
returns its value. It does no input or output itself, so both clients share it."""


def ask(request: Request) -> Steps[Answer]:
    """One request, and its answer."""
    answer = yield request
    assert answer is not None
    return answer


def job_path(job_id: UUID) -> str:
    """The path of a job, whatever is given as its id."""
    return f"/jobs/{quote(str(job_id), safe='')}"


def target(path: str, query: list[tuple[str, str]]) -> str:
    """Path and query."""
    return f"{path}?{urlencode(query)}" if query else path


def to_json(value: Any) -> bytes:
    """JSON; raises `TypeError` or `ValueError` for what is none, such as NaN."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        return text.encode()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this cannot be sent as JSON, give other params: {error}") from error
