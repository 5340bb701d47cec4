"""Every kind of problem there is: one table for the answers, the pages and the document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

_JOB: Final = {"job": "/jobs/0199d2a0-7b1c-7000-8f3e-2a41c07de512"}


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem: its slug, its status, what it means and what the caller can do.

    `detail` and `members` are of an example, as one request might get it.
    """

    slug: str
    status: int
    title: str
    meaning: str
    remedy: str
    detail: str
    members: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """Its identifier, which is also the path of its page."""
        return f"/problems/{self.slug}"


_TABLE: Final = (
    ProblemType(
        "unknown-task",
        422,
        "There is no such task",
        "The submission names a task that this server does not have.",
        "Use one of the names in `GET /tasks`; `close` has those that come near.",
        "there is no task 'slep'; did you mean sleep?",
        {"close": ["sleep"]},
    ),
    ProblemType(
        "invalid-params",
        422,
        "The submission is not valid",
        "A field of the submission, or one of the task's params, is missing, unknown or wrong.",
        "Mend what `errors` lists; each `pointer` is a JSON pointer into what was sent.",
        "/params/seconds: Field required",
        {"errors": [{"pointer": "/params/seconds", "detail": "Field required", "code": "missing"}]},
    ),
    ProblemType(
        "invalid-json",
        400,
        "The body is not valid JSON",
        "The body is not one JSON object in UTF-8, without duplicate keys, NaN or infinities, at "
        "most 64 levels deep, with integers of at most 64 bits.",
        "Send valid JSON; `detail` says what was found.",
        "the body is not valid JSON: an object has the same key twice",
    ),
    ProblemType(
        "unsupported-media-type",
        415,
        "The body is not declared as JSON",
        "The request has no `Content-Type: application/json`, or its body is compressed.",
        "Send the header and the plain body; with curl, use `--json` in place of `-d`.",
        "the body has to be application/json in UTF-8, but has Content-Type 'text/plain'; "
        "with curl, use --json",
    ),
    ProblemType(
        "payload-too-large",
        413,
        "The body is too large",
        "The body has more bytes than `limit`, the setting `AWAITD_MAX_BODY_SIZE`.",
        "Send less: store large inputs elsewhere and submit where they are.",
        "the body may have 1048576 bytes",
        {"limit": 1_048_576},
    ),
    ProblemType(
        "invalid-parameter",
        400,
        "A query parameter is not valid",
        "The request has a query parameter that the route does not know, or a wrong value.",
        "Mend what `detail` names.",
        "there is no query parameter 'page'; there are limit, cursor",
    ),
    ProblemType(
        "invalid-cursor",
        400,
        "The cursor is not valid",
        "The `cursor` was not made by this server.",
        "Use `next` of an earlier page as it is, or leave `cursor` out to begin again.",
        "the cursor is none of this server's",
    ),
    ProblemType(
        "invalid-idempotency-key",
        400,
        "The idempotency key is not valid",
        "`Idempotency-Key` is 1 to 255 visible ASCII characters, quoted or bare, sent once.",
        "Send such a key; a random UUID does well.",
        "Idempotency-Key is 1 to 255 visible ASCII characters, sent once",
    ),
    ProblemType(
        "idempotency-key-reused",
        422,
        "The idempotency key belongs to another submission",
        "A job was submitted with this key and another body; `job` is where it is.",
        "Repeat the same body to find that job again, or take a new key for a new job.",
        "this idempotency key belongs to another submission",
        _JOB,
    ),
    ProblemType(
        "job-not-found",
        404,
        "There is no such job",
        "No job of this id is known here.",
        "Check the id; `GET /jobs` lists the jobs there are.",
        "there is no job 0199d2a0-7b1c-7000-8f3e-2a41c07de512",
    ),
    ProblemType(
        "job-expired",
        410,
        "The job was removed",
        "The job ended longer ago than the retention period, the setting `AWAITD_RETENTION`.",
        "Fetch results sooner, or ask for a longer retention.",
        "job 0199d2a0-7b1c-7000-8f3e-2a41c07de512 was removed after its retention period",
    ),
    ProblemType(
        "job-not-finished",
        409,
        "The job has not finished",
        "There is no result yet; `job` shows how far it is.",
        "Ask again after `Retry-After`, or wait with `Prefer: wait=n`.",
        "the job is running",
        _JOB,
    ),
    ProblemType(
        "job-failed",
        424,
        "The job failed",
        "There is no result and never will be; `error` says why.",
        "Mend the cause and submit again.",
        "out of paper",
        {
            **_JOB,
            "error": {
                "type": "exception",
                "exception": "RuntimeError",
                "message": "out of paper",
            },
        },
    ),
    ProblemType(
        "job-cancelled",
        424,
        "The job was cancelled",
        "There is no result and never will be: the job was cancelled and returned nothing.",
        "Submit again if it is wanted after all.",
        "it was cancelled",
        {**_JOB, "error": None},
    ),
    ProblemType(
        "job-not-running",
        409,
        "The job is not running",
        "Only a running coroutine awaits anywhere.",
        "Look again while it runs; `GET /jobs/{id}` shows its status.",
        "the job is completed",
        _JOB,
    ),
    ProblemType(
        "precondition-failed",
        412,
        "The job has changed",
        "The job is no longer in the state that `If-Match` names.",
        "Read the job again and decide anew.",
        "job 0199d2a0-7b1c-7000-8f3e-2a41c07de512 has changed since that version",
        _JOB,
    ),
    ProblemType(
        "queue-full",
        429,
        "The queue is full",
        "As many jobs are pending as may be: `depth` of `limit`, the setting `AWAITD_MAX_PENDING`.",
        "Submit again after `Retry-After`.",
        "100000 jobs are pending and 100000 may be: wait for some to start",
        {"depth": 100_000, "limit": 100_000},
    ),
    ProblemType(
        "store-full",
        429,
        "The store is full",
        "The store holds `size` bytes and may hold `limit`; finished jobs leave it by age only.",
        "Submit again after `Retry-After`, or have the limit raised or the retention shortened.",
        "the store holds 1000000000 bytes and may hold 1000000000",
        {"size": 1_000_000_000, "limit": 1_000_000_000},
    ),
    ProblemType(
        "shutting-down",
        503,
        "The server is shutting down",
        "The server takes no more submissions; jobs that it has accepted are kept.",
        "Submit to another server, or again after `Retry-After`.",
        "this server is shutting down: submit to another one, or again later",
    ),
    ProblemType(
        "store-unavailable",
        503,
        "The store cannot be written",
        "The disk is full or failing, or the journal is damaged. What was asked for was not "
        "acknowledged.",
        "Try again after `Retry-After`, with the same `Idempotency-Key`.",
        "the journal cannot be written (FullError: database or disk is full)",
    ),
    ProblemType(
        "not-found",
        404,
        "There is nothing here",
        "The path leads nowhere.",
        "`GET /openapi.json` has every path.",
        "GET /job leads nowhere",
    ),
    ProblemType(
        "method-not-allowed",
        405,
        "The method is not allowed here",
        "The path exists, but not with this method.",
        "`Allow` names the methods that it has.",
        "PUT is not allowed here",
    ),
    ProblemType(
        "internal-error",
        500,
        "Something went wrong here",
        "The server has a defect; its log has the details.",
        "Report it; a repeated request with the same `Idempotency-Key` is safe.",
        "the server could not answer; its log says why",
    ),
)

PROBLEMS: Final[Mapping[str, ProblemType]] = MappingProxyType({p.slug: p for p in _TABLE})
