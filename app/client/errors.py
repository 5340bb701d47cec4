"""What the client raises. Beside these: `TaskNotFinished`, and `TimeoutError` from `wait`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time
from types import MappingProxyType
from typing import Any, Final

from app.client.records import JobError, error_of


class AwaitdError(Exception):
    """Base of all that goes wrong between the client and the service."""


class Unreachable(AwaitdError):
    """Raised when no answer came within the client's time limit, however often it was asked for.

    Whether the service has done what was asked for is not known; a submission that is repeated
    with the same `Options.idempotency_key` finds the job if there is one.
    """


class Untrusted(AwaitdError):
    """Raised when the service's certificate is not one that this machine trusts for its name."""


class NotAwaitd(AwaitdError):
    """Raised when what answers there speaks HTTP but is no awaitd: the URL is wrong."""


@dataclass(frozen=True, slots=True)
class ParamError:
    """One thing that is wrong with a submission."""

    pointer: str
    """A JSON pointer into what was sent, such as `/params/url` or `/priority`."""
    detail: str
    code: str
    """What kind of error it is, such as `missing`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem (RFC 9457) as the service has described it."""

    status: int
    type: str = "about:blank"
    title: str = ""
    detail: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)
    """All that the body says, `errors`, `job` and `limit` among others."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By their names in lower case."""

    @property
    def slug(self) -> str:
        """The last part of its type, such as `queue-full`."""
        return self.type.rpartition("/")[2]


class ProblemError(AwaitdError):
    """Raised when the service refuses; each type that a caller may want to catch is a subclass."""

    def __init__(self, problem: Problem, *, repeated: bool = False) -> None:
        super().__init__(problem)
        self.problem: Final = problem
        """All that is known of it."""
        self.repeated: Final = repeated
        """Whether the request had been sent before, without an answer that was heard."""

    def __str__(self) -> str:
        return self.detail

    @property
    def status(self) -> int:
        """The status of the HTTP answer."""
        return self.problem.status

    @property
    def type(self) -> str:
        """The path of the page that says what to do, such as `/problems/queue-full`."""
        return self.problem.type

    @property
    def title(self) -> str:
        """What kind of problem it is, in a few words."""
        return self.problem.title

    @property
    def detail(self) -> str:
        """What happened this time."""
        return self.problem.detail

    @property
    def errors(self) -> tuple[ParamError, ...]:
        """What is wrong with the submission, one by one; empty for other problems."""
        found = self.problem.members.get("errors", ())
        return tuple(ParamError(e["pointer"], e["detail"], e["code"]) for e in found)

    @property
    def job(self) -> str | None:
        """The path of the job that it is about, if it is about one."""
        return self.problem.members.get("job")

    @property
    def request_id(self) -> str | None:
        """The `X-Request-ID` of the answer, where a proxy in between gives one."""
        return self.problem.headers.get("x-request-id")

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the service asks to be asked again; None if it does not say."""
        return seconds_of(self.problem.headers.get("retry-after", ""))


class UnknownTask(ProblemError):
    """Raised for a submission that names a task that the service does not have."""

    @property
    def close(self) -> tuple[str, ...]:
        """Names of tasks that come near."""
        return tuple(self.problem.members.get("close", ()))


class InvalidParams(ProblemError):
    """Raised for a submission with wrong params or options: `errors` points at each."""


class InvalidParameter(ProblemError):
    """Raised for a filter that is none, or has a wrong value."""


class PayloadTooLarge(ProblemError):
    """Raised for a submission with more bytes than the service takes."""


class KeyReused(ProblemError):
    """Raised when the idempotency key belongs to another submission: `job` is its job."""


class Unauthorized(ProblemError):
    """Raised when the service wants an API key, or another one."""


class Forbidden(ProblemError):
    """Raised when the API key is not for this."""


class JobNotFound(ProblemError):
    """Raised when there is no such job, or it is somebody else's."""


class JobExpired(ProblemError):
    """Raised when the job was removed, its retention period being over."""


class NoDelivery(ProblemError):
    """Raised when the end of the job is not told to anybody."""


class JobFailed(ProblemError):
    """Raised in the place of a failed job's result: there is none, and never will be."""

    def __str__(self) -> str:
        return f"{self.error.exception or self.error.type}: {self.detail}"

    @property
    def error(self) -> JobError:
        """Why it failed."""
        members = {"type": "exception", "exception": None, "message": self.detail}
        return error_of(members | (self.problem.members.get("error") or {}))


class JobCancelled(ProblemError):
    """What the service says of a cancelled job without a result; the client gives None for it."""


class JobNotFinished(ProblemError):
    """What the service says when there is no result yet; the client raises `TaskNotFinished`."""


class JobChanged(ProblemError):
    """What the service says when a job has changed meanwhile; the client looks again."""


class Busy(ProblemError):
    """Base of what may go well later. Raised when it did not within the client's time limit."""


class RateLimited(Busy):
    """Raised when the owner of the API key submits too often."""


class QueueFull(Busy):
    """Raised when as many jobs are pending as may be."""


class StoreFull(Busy):
    """Raised when the service has no room for further jobs."""


class TooManyWaiters(Busy):
    """Raised when as many requests wait for a job, or streams are open, as may."""


class TooManyConnections(Busy):
    """Raised when the service answers no further connections."""


class ShuttingDown(Busy):
    """Raised when the service is shutting down; it keeps the jobs that it has accepted."""


class StoreUnavailable(Busy):
    """Raised when the service cannot write to its store."""


class ServerError(ProblemError):
    """Raised when the service, or a proxy before it, has a defect (5xx)."""


CLASSES: Final[Mapping[str, type[ProblemError]]] = MappingProxyType(
    {
        "unknown-task": UnknownTask,
        "invalid-params": InvalidParams,
        "invalid-parameter": InvalidParameter,
        "invalid-cursor": InvalidParameter,
        "invalid-idempotency-key": InvalidParameter,
        "payload-too-large": PayloadTooLarge,
        "idempotency-key-reused": KeyReused,
        "unauthorized": Unauthorized,
        "forbidden": Forbidden,
        "job-not-found": JobNotFound,
        "job-expired": JobExpired,
        "job-failed": JobFailed,
        "job-cancelled": JobCancelled,
        "job-not-finished": JobNotFinished,
        "no-delivery": NoDelivery,
        "precondition-failed": JobChanged,
        "rate-limited": RateLimited,
        "queue-full": QueueFull,
        "store-full": StoreFull,
        "too-many-waiters": TooManyWaiters,
        "too-many-connections": TooManyConnections,
        "shutting-down": ShuttingDown,
        "store-unavailable": StoreUnavailable,
        "internal-error": ServerError,
    }
)
"""The class of each type of problem that has one."""

_BUSY: Final = (429, 503)


def problem_error(
    status: int, headers: Mapping[str, str], body: bytes, *, repeated: bool = False
) -> ProblemError:
    """The exception for an answer that is an error, whoever gave it."""
    problem = _problem_of(status, headers, body)
    kind = CLASSES.get(problem.slug)
    if kind is None:
        by_status = Busy if status in _BUSY else ServerError if status >= 500 else ProblemError
        return by_status(problem, repeated=repeated)
    return kind(problem, repeated=repeated)


def seconds_of(text: str) -> float | None:
    """The seconds that a `Retry-After` says, or until the time that it names."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, OverflowError):
        return None


def _problem_of(status: int, headers: Mapping[str, str], body: bytes) -> Problem:
    try:
        members = json.loads(body)
        return Problem(
            status,
            type=str(members["type"]),
            title=str(members["title"]),
            detail=str(members.get("detail", members["title"])),
            members=members,
            headers=headers,
        )
    except (ValueError, KeyError, TypeError):  # a proxy's own page
        detail = f"it answered {status}, without a word that awaitd would say"
        return Problem(status, detail=detail, headers=headers)
