"""What is promised of answers: of waits, of streams, of figures, and while the store fails."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final
from uuid import UUID

from app.jobs.models import Job
from app.scheduler import Status
from tests.simulation.book import At, Book, Call
from tests.simulation.history import (
    Answered,
    Called,
    Calm,
    Committed,
    Defect,
    Opening,
    Reopened,
    Rested,
    Told,
)

_READS: Final = ("get", "list", "wait")

_PERHAPS: Final = ("abandoned", "StoreUnavailable")
"""Answers to submissions that may arrive all the same."""


def nothing_unforeseen(book: Book) -> Iterator[str]:
    """No client meets an exception that is not the port's, and no defect is logged."""
    for event in book.history.events:
        if isinstance(event.what, Defect):
            yield event.what.text


def store_answers(book: Book) -> Iterator[str]:
    """Reads go on while the store fails; 2 s after it is sound nothing is refused for it."""
    for call in book.calls:
        if call.answer.error == "StoreUnavailable":
            closing = book.closing.get(call.at.life)
            is_closed = closing is not None and closing.number < call.at.number
            if call.what.what in _READS and not is_closed:
                yield f"a {call.what.what} was refused: {call.what}"
            elif not is_closed and book.is_sound(call.called.time, call.at.time):
                yield f"a {call.what.what} was refused though the store is sound: {call.what}"


def only_what_is_full_refuses(book: Book) -> Iterator[str]:
    """A submission is refused for the length of the queue only if it may be as long as that."""
    unfinished: set[UUID | None] = set()
    arriving: set[int] = set()
    for event in book.history.events:
        match event.what:
            case Opening(rows):
                unfinished = {key for key, row in rows.items() if not row.status.finished}
                arriving.clear()
            case Called(call, "submit"):
                arriving.add(call)
            case Answered(call, _, error):
                arriving.discard(call)
                arriving |= {call} if error in _PERHAPS else set()
                room = book.history.max_pending - len(unfinished) - len(arriving)
                if error == "QueueFull" and room > 0:
                    yield f"the queue is full, with {unfinished} and {arriving}"
            case Committed("insert", job_id):
                unfinished.add(job_id)
            case Told(_, job_id, done=True):
                unfinished.discard(job_id)
            case _:
                pass


def nothing_is_unknown(book: Book) -> Iterator[str]:
    """A job that was shown is found by all who ask, until its age removes it."""
    for call in book.calls:
        job_id = call.what.job_id
        if job_id is None or call.answer.error not in ("JobNotFound", "JobExpired"):
            continue
        if not book.is_expired(book.stories[job_id], call.at):
            yield f"{job_id} is not found by a {call.what.what}: {call.answer.error}"


def waits_are_prompt(book: Book) -> Iterator[str]:
    """Who waits is answered at the very time of the change that it waits for."""
    told: dict[UUID, list[tuple[At, Told]]] = {}
    for number, event in enumerate(book.history.events):
        if isinstance(event.what, Told) and event.what.job_id is not None:
            at = At(number, event.time, event.wall, event.life)
            told.setdefault(event.what.job_id, []).append((at, event.what))
    for call in book.calls:
        if call.what.what == "wait" and call.what.job_id is not None and call.answer.jobs:
            for at, news in told.get(call.what.job_id, ()):
                if _should_end(call, at, news):
                    yield f"{call.what} was answered {call.at.time - at.time} s late"


def _should_end(call: Call, at: At, news: Told) -> bool:
    meanwhile = call.called.number < at.number and at.time < call.at.time
    since = call.what.since
    wanted = news.done or (since is not None and news.changed and news.version > since)
    return meanwhile and wanted


def streams_go_on(book: Book) -> Iterator[str]:
    """Streams tell each change once, in order, and over restarts all that is left of them."""
    for stream, events in book.streams.items():
        last = 0
        for _, event in events:
            assert event.version is not None
            if event.version <= last:
                yield f"stream {stream} went from {last} back to {event.version}"
            last = event.version
    if book.calm is not None:
        yield from _not_followed(book, book.calm)


def _not_followed(book: Book, calm: Calm) -> Iterator[str]:
    for job in calm.jobs.values():
        if calm.followed.get(job.id) != (job.version, job.status):
            yield f"who follows all jobs has {calm.followed.get(job.id)} of {job}"
    if book.faults:
        return  # what ends and expires while nothing can be written is never seen to end
    for job_id, (version, status) in calm.followed.items():
        if job_id not in calm.jobs and not status.finished:
            yield f"who follows all jobs takes {job_id} for {status}, which is gone: {version}"


def figures_agree(book: Book) -> Iterator[str]:
    """At rest the engine counts what there is, holds no slot, and has left nothing undone."""
    for event in book.history.events:
        match event.what:
            case Rested(there, counts, taken):
                yield from _wrong_figures(there, counts, taken)
            case Calm(jobs, counts, taken):
                there = Counter(job.status for job in jobs.values())
                yield from _wrong_figures(there, counts, taken)
            case _:
                pass


def _wrong_figures(
    there: Mapping[Status, int], counts: Mapping[Status, int], taken: int
) -> Iterator[str]:
    if any(counts[status] != there.get(status, 0) for status in Status):
        yield f"counted {dict(counts)}, there are {dict(there)}"
    if taken or there.get(Status.PENDING) or there.get(Status.RUNNING):
        yield f"at rest {taken} slots are taken, and there are {dict(there)}"


def stays_as_it_is(book: Book) -> Iterator[str]:
    """After a calm close and a start all is as it was, but what has expired."""
    jobs: dict[UUID, Job] = {}
    for number, event in enumerate(book.history.events):
        if isinstance(event.what, Calm):
            jobs = dict(event.what.jobs)
        elif isinstance(event.what, Reopened):
            at = At(number, event.time, event.wall, event.life)
            for job_id in jobs.keys() | event.what.jobs.keys():
                before, after = jobs.get(job_id), event.what.jobs.get(job_id)
                gone = after is None and book.is_expired(book.stories[job_id], at)
                if before != after and not gone:
                    yield f"{job_id} was {before}, and is {after}"
