"""What is written for speed, against how it would be written without."""

import json
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import pytest
from fastapi import Request
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError

from app.api.body import parse_object
from app.api.problems import Problem
from app.api.render import job_json
from app.api.requests import STATE
from app.api.security import Caller
from app.api.submission import Submission, new_job
from app.jobs.errors import InvalidParams
from app.jobs.models import Attempt, ErrorType, Job, JobError, Progress
from app.jobs.registry import TaskRegistry
from app.jobs.signature import validate_json
from app.jobs.webhooks import EVENTS, Delivery, Webhook
from app.main import build_app
from app.scheduler import Status
from app.settings import Settings
from tests.support.engines import EndlessEngine

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['"', "\\", "\n", "\0", "\x7f", "\u2028", "</script>", "%b", "é", "\U0001f600"]
)
SERVICE = build_app(Settings.model_construct(), TaskRegistry(), EndlessEngine())

times = st.integers(0, 253_402_300_799_999)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 1 << 40)
failures = st.builds(JobError, st.sampled_from(ErrorType), texts, st.none() | texts)
attempts = st.builds(
    Attempt,
    st.integers(1, 99),
    times,
    st.none() | times,
    st.none() | st.sampled_from(Status),
    st.none() | failures,
)
webhooks = st.builds(
    Webhook, texts, st.just("a"), st.lists(st.sampled_from(EVENTS), max_size=3).map(tuple)
)
deliveries = st.builds(
    Delivery,
    st.sampled_from(EVENTS),
    st.integers(0, 10),
    st.none() | times,
    st.none() | times,
    st.none() | st.integers(100, 599),
    st.none() | texts,
)
jobs = st.builds(
    Job,
    id=st.builds(lambda time, rest: UUID(int=time << 80 | rest), times, st.integers(0, 1 << 80)),
    task=texts,
    status=st.sampled_from(Status),
    version=st.integers(0),
    params=st.just(b'{"a":1}'),
    labels=st.dictionaries(texts, texts, max_size=3),
    priority=st.integers(),
    timeout=st.none() | numbers,
    attempt=st.integers(0, 99),
    max_attempts=st.integers(1, 99),
    attempts=st.lists(attempts, max_size=3).map(tuple),
    run_at=times,
    started_at=st.none() | times,
    finished_at=st.none() | times,
    expires_at=st.none() | times,
    cancel_requested_at=st.none() | times,
    result=st.none() | st.just(b"[1, 2]"),
    error=st.none() | failures,
    progress=st.none() | st.builds(Progress, st.none() | st.floats(0, 1), st.none() | texts),
    webhook=st.none() | webhooks,
    deliveries=st.lists(deliveries, max_size=2).map(tuple),
)

once = st.builds(Attempt, *[st.integers(1, 3), times], st.none() | times, error=st.none())
SELDOM: Final[dict[str, Any]] = {
    "timeout": 1.5,
    "error": JobError(ErrorType.TIMEOUT, "late"),
    "progress": Progress(0.5),
    "webhook": Webhook("https://example.org", "a", EVENTS),
    "cancel_requested_at": 1,
    "labels": {"a": "b"},
    "priority": -1,
    "attempts": (Attempt(1, 2, 3, Status.FAILED, JobError(ErrorType.TIMEOUT, "late")),),
}
"""What most jobs do without."""
usual_jobs = st.builds(
    replace,
    jobs,
    labels=st.just({}),
    priority=st.just(0),
    attempts=st.tuples(once),
    **dict.fromkeys(["timeout", "error", "progress", "webhook", "cancel_requested_at"], st.none()),
)


def shown(time: int | None) -> str | None:
    """A time as the document shows it."""
    if time is None:
        return None
    return f"{datetime.fromtimestamp(time // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{time % 1000:03d}Z"


def error_of(error: JobError | None) -> Any:
    """An error, member by member."""
    if error is None:
        return None
    return {"type": error.type, "exception": error.exception, "message": error.message}


def webhook_of(job: Job) -> Any:
    """A job's webhook, member by member."""
    if job.webhook is None:
        return None
    deliveries = [
        {
            "id": f"job_{job.id.hex}_{delivery.event}",
            "event": delivery.event,
            "status": delivery.status,
            "attempts": delivery.attempts,
            "last_status": delivery.last_status,
            "last_error": delivery.last_error,
            "next_attempt_at": shown(delivery.next_at),
            "delivered_at": shown(delivery.delivered_at),
        }
        for delivery in job.deliveries
    ]
    return {"url": job.webhook.url, "events": job.webhook.events, "deliveries": deliveries}


def members_of(job: Job, root: str, minimal: bool) -> dict[str, Any]:
    """A job as the document describes it, in its order."""
    large = {"params": json.loads(job.params), "result": json.loads(job.result or b"null")}
    attempts = [
        {
            "number": attempt.number,
            "started_at": shown(attempt.started_at),
            "finished_at": shown(attempt.finished_at),
            "outcome": attempt.outcome,
            "error": error_of(attempt.error),
        }
        for attempt in job.attempts
    ]
    progress = job.progress and {
        "fraction": job.progress.fraction,
        "message": job.progress.message,
    }
    self = f"{root}/jobs/{job.id}"
    return {
        "id": str(job.id),
        "task": job.task,
        "status": job.status,
        "done": job.status.finished,
        **({} if minimal else large),
        "error": error_of(job.error),
        "progress": progress,
        "labels": job.labels,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "timeout": job.timeout,
        **({} if minimal else {"attempts": attempts, "webhook": webhook_of(job)}),
        "created_at": shown(job.id.int >> 80),
        "run_at": shown(job.run_at),
        "started_at": shown(job.started_at),
        "finished_at": shown(job.finished_at),
        "expires_at": shown(job.expires_at),
        "cancel_requested_at": shown(job.cancel_requested_at),
        "links": {"self": self, "result": f"{self}/result", "events": f"{self}/events"},
    }


def expected(job: Job, root: str = "", *, minimal: bool = False) -> str:
    """The job as an encoder writes it."""
    encoder = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return encoder.encode(members_of(job, root, minimal))


@given(job=jobs | usual_jobs, root=st.sampled_from(["", "/prefix", '/"\\é']), minimal=st.booleans())
def test_a_job_is_the_json_that_an_encoder_writes(job: Job, root: str, minimal: bool) -> None:
    """Every member is there, in its order, escaped as an encoder does it."""
    written = job_json(job, minimal=minimal, root=root).decode()
    written = written.replace('"result":[1, 2]', '"result":[1,2]')
    assert written == expected(job, root, minimal=minimal)


@pytest.mark.parametrize("name", SELDOM)
def test_what_most_jobs_do_without_is_shown(name: str) -> None:
    """Each single thing that makes a job an unusual one."""
    usual = Job(
        id=UUID(int=1 << 80),
        task="a",
        status=Status.RUNNING,
        version=1,
        params=b"{}",
        attempts=(Attempt(1, 2),),
        run_at=1,
    )
    job = replace(usual, **{name: SELDOM[name]})
    assert job_json(job).decode() == expected(job) != expected(usual)


values: st.SearchStrategy[Any] = st.sampled_from(
    [0, 1, -1, 5, 5.0, 0.5, 1e300, 1 << 63, -(1 << 63), True, None, "", "a", "5", [], {}, {"a": 1}]
) | st.sampled_from(
    ["2027-01-31T09:30:00Z", "2027-01-31", "0199d2a0-7b1c-7000-8f3e-2a41c07de512", {"a": "b"}, "\0"]
)
bodies = st.dictionaries(
    st.sampled_from([*Submission.model_fields, "unknown"]), values, min_size=1, max_size=4
)


@settings(max_examples=300)
@example({"priority": 5.0})
@example({"copy_of": "0199d2a0-7b1c-7000-8f3e-2a41c07de512", "run_at": "2027-01-31T09:30:00+01:00"})
@example({"run_at": 1_800_000_000})
@example({"run_at": "1800000000"})
@example({"copy_of": "0199D2A07B1C70008F3E2A41C07DE512", "delay": 5, "timeout": 1 << 40})
@given(body=bodies)
def test_an_envelope_is_what_its_bytes_say(body: dict[str, Any]) -> None:
    """A submission is taken or refused as its JSON is, whichever way it is read."""
    sent = json.dumps(body).encode()
    request = Request({"type": "http", "headers": [], STATE: SERVICE.state.api})
    try:
        expected = validate_json(Submission, sent)
    except ValidationError:
        with pytest.raises(InvalidParams):
            new_job(sent, parse_object(sent), request, Caller(None))
        return
    new = new_job(sent, parse_object(sent), request, Caller(None))
    run_at = expected.run_at and round(expected.run_at.timestamp() * 1000)
    assert repr((new.task, new.copy_of, new.priority, new.delay)) == repr(
        (expected.task, expected.copy_of, expected.priority, expected.delay)
    )
    assert repr((new.start_within, new.timeout, new.labels, new.run_at)) == repr(
        (expected.start_within, expected.timeout, expected.labels, run_at)
    )
    assert (None if new.params is None else json.loads(new.params)) == body.get("params")


def test_a_body_that_is_no_json_is_none() -> None:
    """An envelope is read only from what is JSON by every rule."""
    with pytest.raises(Problem):
        parse_object(b'{"task":"a","task":"a"}')
