"""From a job to the bytes of an answer. Params and result are JSON already and pass as they are.

The rest is put into a form that jobs share which are alike but for their ids and times.
"""

from json.encoder import encode_basestring
from typing import Any, Final, TypeAlias
from uuid import UUID

from app.jobs.ids import created_at, id_text
from app.jobs.kept import Kept
from app.jobs.models import Attempt, Job, JobError, Millis, Progress
from app.jobs.texts import texts_to_json, to_json
from app.jobs.times import rfc3339
from app.jobs.webhooks import Delivery, Webhook, delivery_id
from app.scheduler import Status

_Alike: TypeAlias = tuple[str, Status, int, bool, str]
"""Of a job: its task, its status and how many attempts it has; whether the answer is minimal, and
what precedes its links. Callers choose hardly any of it, so that few forms serve all jobs."""

_Usual: TypeAlias = tuple[str, Status, int, str, int, int, Status | None]
"""Of a job with one attempt: its task, its status and how many attempts it has, what precedes its
links, which attempt it is at; the number of the one that it had, and how that ended."""

_NULL: Final = b"null"


def job_json(job: Job, *, minimal: bool = False, root: str = "") -> bytes:
    """The job; `minimal` leaves out what is large or not for all. `root` precedes its links."""
    job_id = id_text(job.id).encode()
    if not minimal and _is_usual(job):
        return _usual_json(job, job_id, root)
    error, progress, labels, timeout = job.error, job.progress, job.labels, job.timeout
    attempts = b"" if minimal else b",".join(map(_attempt, job.attempts))
    webhook = _NULL if minimal or job.webhook is None else _webhook(job, job.webhook)
    return _form((job.task, job.status, job.max_attempts, minimal, root)) % (
        job_id,
        job.params,
        job.result or _NULL,
        _NULL if error is None else _error(error),
        _NULL if progress is None else _progress(progress),
        texts_to_json(dict(labels)) if labels else b"{}",
        job.priority,
        job.attempt,
        _NULL if timeout is None else str(timeout).encode(),
        attempts,
        webhook,
        _time(created_at(job.id)),
        _time(job.run_at),
        _time(job.started_at),
        _time(job.finished_at),
        _time(job.expires_at),
        _time(job.cancel_requested_at),
        job_id,
        job_id,
        job_id,
    )


def _is_usual(job: Job) -> bool:
    """Whether it has had its first attempt alone, and nothing that most jobs do without."""
    return (
        len(job.attempts) == 1
        and not (job.priority or job.labels)
        and job.attempts[0].error is job.error is None
        and job.progress is None
        and job.timeout is None
        and job.webhook is None
        and job.cancel_requested_at is None
    )


def _usual_json(job: Job, job_id: bytes, root: str) -> bytes:
    first = job.attempts[0]
    alike = job.task, job.status, job.max_attempts, root, job.attempt, first.number, first.outcome
    return _usual_form(alike) % (
        job_id,
        job.params,
        job.result or _NULL,
        _time(first.started_at),
        _time(first.finished_at),
        _time(created_at(job.id)),
        _time(job.run_at),
        _time(job.started_at),
        _time(job.finished_at),
        _time(job.expires_at),
        job_id,
        job_id,
        job_id,
    )


def job_path(job_id: UUID, root: str = "") -> str:
    """The path of a job."""
    return f"{root}/jobs/{id_text(job_id)}"


def error_members(error: JobError | None) -> dict[str, Any] | None:
    """An error as clients see it."""
    if error is None:
        return None
    return {"type": error.type, "exception": error.exception, "message": error.message}


def delivery_members(job: Job, delivery: Delivery) -> dict[str, Any]:
    """How the telling of a job's end is going."""
    return {
        "id": delivery_id(job.id, delivery.event),
        "event": delivery.event,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "next_attempt_at": rfc3339(delivery.next_at),
        "delivered_at": rfc3339(delivery.delivered_at),
    }


def _form_of(alike: _Alike) -> bytes:
    """A job as JSON, with a gap for each member in which jobs that are so far alike may differ."""
    task, status, max_attempts, minimal, root = alike
    path = f"{_literal(root)[1:-1]}/jobs/%b"
    # What is put into a gap of no width is left out.
    large = "%.0b%.0b" if minimal else '"params":%b,"result":%b,'
    told = "%.0b%.0b" if minimal else '"attempts":[%b],"webhook":%b,'
    return (
        f'{{"id":"%b","task":{_literal(task)},"status":"{status}",'
        f'"done":{"true" if status.finished else "false"},{large}'
        f'"error":%b,"progress":%b,"labels":%b,"priority":%d,'
        f'"attempt":%d,"max_attempts":{max_attempts},"timeout":%b,{told}'
        f'"created_at":%b,"run_at":%b,"started_at":%b,"finished_at":%b,'
        f'"expires_at":%b,"cancel_requested_at":%b,'
        f'"links":{{"self":"{path}","result":"{path}/result","events":"{path}/events"}}}}'
    ).encode()


def _usual_form_of(alike: _Usual) -> bytes:
    """The same form with most of its gaps filled."""
    task, status, max_attempts, root, attempt, number, outcome = alike
    gap = b"\0"  # which no JSON has
    first = _attempt(Attempt(number, 0, 0, outcome)).replace(_time(0), gap)
    said = gap, gap, gap, _NULL, _NULL, b"{}", 0, attempt, _NULL, first, _NULL
    times, ids = (gap, gap, gap, gap, gap, _NULL), (gap, gap, gap)
    filled = _form((task, status, max_attempts, False, root)) % (*said, *times, *ids)
    return filled.replace(b"%", b"%%").replace(gap, b"%b")


def _literal(text: str) -> str:
    """A text as JSON, without a gap in it."""
    return encode_basestring(text).replace("%", "%%")


def _attempt(attempt: Attempt) -> bytes:
    return b'{"number":%d,"started_at":%b,"finished_at":%b,"outcome":%b,"error":%b}' % (
        attempt.number,
        _time(attempt.started_at),
        _time(attempt.finished_at),
        _NULL if attempt.outcome is None else b'"%b"' % attempt.outcome.encode(),
        _NULL if attempt.error is None else _error(attempt.error),
    )


def _error(error: JobError) -> bytes:
    return texts_to_json(error_members(error))


def _webhook(job: Job, webhook: Webhook) -> bytes:
    members = {
        "url": webhook.url,
        "events": webhook.events,
        "deliveries": [delivery_members(job, delivery) for delivery in job.deliveries],
    }
    return to_json(members)


def _progress(progress: Progress) -> bytes:
    return to_json({"fraction": progress.fraction, "message": progress.message})


def _time_of(time: Millis | None) -> bytes:
    return f'"{rfc3339(time)}"'.encode() if time is not None else _NULL


_form: Final = Kept(_form_of).__getitem__
_usual_form: Final = Kept(_usual_form_of).__getitem__
_time: Final = Kept(_time_of).__getitem__
