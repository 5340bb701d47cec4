"""What is promised of each job, as rules over its story. A rule yields what breaks it."""

from collections.abc import Iterator
from uuid import UUID

from app.jobs.models import Attempt, ErrorType, Job
from app.jobs.texts import to_json
from app.scheduler import Status
from tests.simulation.book import At, Book, Story
from tests.simulation.history import Committed, Finished, Row

RETRIED = frozenset({"ValueError"})
"""The exceptions of the tasks that are worth another attempt."""


def found_again(book: Book) -> Iterator[str]:
    """What was shown or has run is in the journal that the next process opens."""
    for at, opening in book.openings:
        for job_id, story in book.stories.items():
            row = opening.rows.get(job_id)
            if row is None:
                if _is_known(story, at) and not book.is_expired(story, at):
                    yield f"{job_id} is not found in life {at.life}"
            else:
                yield from _taken_back(job_id, story, row, at)


def _is_known(story: Story, at: At) -> bool:
    return any(s.at.number < at.number for s in story.shown) or any(
        began.number < at.number for began, _ in story.began
    )


def _taken_back(job_id: UUID, story: Story, row: Row, at: At) -> Iterator[str]:
    for shown in story.shown:
        if shown.at.number > at.number:
            continue
        job = shown.job
        ended_otherwise = job.done and (job.version, job.status) != (row.version, row.status)
        if job.version > row.version or ended_otherwise:
            yield f"{job_id} was {job.status} in version {job.version}, and is {row}"
        if job.cancel_requested_at is not None and not row.cancelled:
            yield f"the cancel of {job_id} is forgotten: {row}"
    for began, attempt in story.began:
        if began.number < at.number and attempt > row.attempt:
            yield f"attempt {attempt} of {job_id} ran, and the journal has {row}"


def as_submitted(book: Book) -> Iterator[str]:
    """An accepted job is found with all that it was submitted with, and ends."""
    if book.calm is None:
        yield "it never came to rest"
        return
    last = At(len(book.history.events) - 1, 0.0, 0, 0)
    for job_id, story in book.stories.items():
        if story.final is None:
            if story.accepted and not book.is_expired(story, last):
                yield f"{job_id} was accepted and is gone"
            continue
        if not story.final.done:
            yield f"{job_id} has not ended: {story.final}"
        for _, job in story.accepted:
            if _given(job) != _given(story.final):
                yield f"{job_id} is not as it was submitted: {job}, {story.final}"


def _given(job: Job) -> tuple[object, ...]:
    times = (job.created_at, job.start_by, job.timeout, job.max_attempts)
    return (job.task, job.params, dict(job.labels), job.priority, *times)


def starts_once(book: Book) -> Iterator[str]:
    """Each attempt takes one first step, after its start is durable, and no more than it has."""
    for job_id, story in book.stories.items():
        last = 0
        for at, attempt in story.began:
            started = story.started.get(attempt)
            if started is None or started.number > at.number:
                yield f"attempt {attempt} of {job_id} began before its start was durable"
            if attempt <= last:
                yield f"attempt {attempt} of {job_id} began after attempt {last}"
            last = attempt
            for shown in story.shown[:1]:
                if attempt > shown.job.max_attempts:
                    yield f"{job_id} may run {shown.job.max_attempts} times and has run {attempt}"


def counts_attempts(book: Book) -> Iterator[str]:
    """`attempt` counts the starts; one without a first step was cut off or cancelled before."""
    for job_id, story in book.stories.items():
        job = story.final
        if job is None:
            continue
        began = story.first_steps()
        if [a.number for a in job.attempts] != list(range(1, job.attempt + 1)):
            yield f"{job_id} has attempts {job.attempts}"
        if began and max(began) > job.attempt:
            yield f"{job_id} has run {max(began)} times and counts {job.attempt}"
        for attempt in job.attempts:
            if attempt.number not in began and not _never_stepped(attempt, job):
                yield f"attempt {attempt} of {job_id} left no evidence"


def _never_stepped(attempt: Attempt, job: Job) -> bool:
    if job.status is Status.CANCELLED and attempt.number == job.attempt:
        return True
    return attempt.error is not None and attempt.error.type is ErrorType.INTERRUPTED


def ends_as_it_ended(book: Book) -> Iterator[str]:
    """Each outcome is what the coroutine did, or says truly what cut it off."""
    for job_id, story in book.stories.items():
        job = story.final
        if job is None or not job.done:
            continue
        yield from _ended_wrongly(job, story)
        for attempt in job.attempts:
            if not _is_true(book, story, job, attempt):
                evidence = story.finished.get(attempt.number)
                yield f"{job_id} {job.result!r} has {attempt}, but: {evidence}"


def _ended_wrongly(job: Job, story: Story) -> Iterator[str]:
    if job.status is Status.CANCELLED and not story.cancel_asked:
        yield f"{job.id} is cancelled and nobody asked for it"
    if job.status is Status.FAILED and _gave_up(job):
        yield f"{job.id} was given up with attempts left: {job.error}"
    if job.attempt == 0 and job.status is not Status.CANCELLED and not _never_started(job):
        yield f"{job.id} ended without a start: {job}"
    if job.attempts and not _in_time(job):
        yield f"{job.id} started too late: {job}"


def _gave_up(job: Job) -> bool:
    assert job.error is not None
    kind = job.error.type
    retried = kind in (ErrorType.TIMEOUT, ErrorType.INTERRUPTED) or (
        kind is ErrorType.EXCEPTION and job.error.exception in RETRIED
    )
    return retried and job.attempt < job.max_attempts


def _never_started(job: Job) -> bool:
    if job.error is None:
        return False
    if job.error.type is ErrorType.NOT_STARTED_IN_TIME:
        return None not in (job.start_by, job.finished_at) and not _in_time(job)
    return job.error.type is ErrorType.UNKNOWN_TASK


def _in_time(job: Job) -> bool:
    """Whether its first start, or its end without one, came before it was too late."""
    time = job.attempts[0].started_at if job.attempts else job.finished_at or 0
    return job.start_by is None or time <= job.start_by


def _is_true(book: Book, story: Story, job: Job, attempt: Attempt) -> bool:
    at, did = story.finished.get(attempt.number, (None, None))
    if attempt.outcome is Status.COMPLETED:
        return did is not None and _returned(did) == job.result
    if attempt.outcome is Status.CANCELLED:
        return job.result is None or (did is not None and _returned(did) == job.result)
    assert attempt.error is not None
    match attempt.error.type:
        case ErrorType.EXCEPTION:
            return did is not None and did.how == "raised" and did.value == attempt.error.exception
        case ErrorType.BAD_RESULT:
            return did is not None and did.how == "returned" and not isinstance(did.value, list)
        case ErrorType.TIMEOUT:
            return at is not None and _took_long(story, job, attempt.number, at)
        case ErrorType.INTERRUPTED:
            return at is None or _was_cut_off(book, story, attempt.number, at)
        case ErrorType.UNKNOWN_TASK:
            return True
    return False


def _returned(did: Finished) -> bytes | None:
    return to_json(did.value) if did.how == "returned" and isinstance(did.value, list) else None


def _took_long(story: Story, job: Job, number: int, ended: At) -> bool:
    began = story.first_steps()[number]
    return job.timeout is not None and ended.time - began.time >= job.timeout - 1e-6


def _was_cut_off(book: Book, story: Story, number: int, ended: At) -> bool:
    """Interrupted by a close; or it ended, and its process did before that was written."""
    closing = book.closing.get(ended.life)
    if closing is not None and any(
        attempt == number and at.number > closing.number for at, attempt in story.interrupted
    ):
        return True
    return not book.was_written(ended.life, ended.time)


def outcomes_are_kept(book: Book) -> Iterator[str]:
    """An outcome is written once the store is sound; the next process finds it."""
    for at, opening in book.openings:
        for job_id, story in book.stories.items():
            for number, (ended, _) in story.finished.items():
                row = opening.rows.get(job_id)
                if ended.life != at.life - 1 or row is None:
                    continue
                lost = row.status is Status.RUNNING and row.attempt == number
                if lost and book.was_written(ended.life, ended.time):
                    yield f"the outcome of attempt {number} of {job_id} is lost: {row}"


def final_is_final(book: Book) -> Iterator[str]:
    """Versions never go back, one version is one state, and nothing follows an end."""
    owners: dict[int, UUID] = {}
    for job_id, story in book.stories.items():
        newest: Job | None = None
        for shown in story.shown:
            job = shown.job
            if owners.setdefault(job.version, job_id) != job_id:
                yield f"version {job.version} is {job_id}'s and {owners[job.version]}'s"
            if newest is not None:
                yield from _went_back(newest, job, fresh=shown.fresh)
            if newest is None or job.version > newest.version:
                newest = job


def ids_grow(book: Book) -> Iterator[str]:
    """A job that is accepted later has a greater id, over restarts and clocks that are set back."""
    last = UUID(int=0)
    for event in book.history.events:
        if isinstance(event.what, Committed) and event.what.kind == "insert":
            assert event.what.job_id is not None
            if event.what.job_id < last:
                yield f"{event.what.job_id} comes after {last}"
            last = event.what.job_id


def _went_back(newest: Job, job: Job, *, fresh: bool) -> Iterator[str]:
    if fresh and job.version < newest.version:
        yield f"{job.id} was in version {newest.version}, then in {job.version}"
    if job.version == newest.version and job.status is not newest.status:
        yield f"{job.id} is {newest.status} and {job.status} in version {job.version}"
    if newest.done and job.version > newest.version:
        yield f"{job.id} was {newest.status}, then {job.status}"
