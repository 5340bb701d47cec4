"""What can be told from a history of the instants at which things met."""

from collections.abc import Iterator
from itertools import pairwise
from math import isclose

from app.scheduler import Status
from tests.simulation.book import At, Book, Story
from tests.simulation.history import Told


def meetings(book: Book) -> Iterator[str]:
    """The names of the interleavings that happened, each as often as it did."""
    yield from _at_crashes(book)
    yield from _at_keys(book)
    told = {
        (event.what.job_id, event.time)
        for event in book.history.events
        if isinstance(event.what, Told) and event.what.kind == "requestcancel"
    }
    for job_id, story in book.stories.items():
        for at, attempt in story.interrupted:
            cancelled = (job_id, at.time) in told
            yield from _in_one_tick(book, story, at, attempt, cancelled=cancelled)


def _at_crashes(book: Book) -> Iterator[str]:
    for at, opening in book.openings:
        for job_id, row in opening.rows.items():
            if row.status is not Status.RUNNING:
                continue
            story = book.stories[job_id]
            began = story.first_steps().get(row.attempt)
            if began is None or began.number > at.number:
                yield "crash between a durable start and the first step"
            elif row.attempt in story.finished:
                yield "crash between the end of a coroutine and its commit"


def _at_keys(book: Book) -> Iterator[str]:
    calls = [call for call in book.calls if call.what.key is not None]
    by_key = sorted(calls, key=lambda call: (call.what.key or "", call.called.number))
    for first, second in pairwise(by_key):
        at_once = second.called.number < first.at.number and first.at.time > first.called.time
        if first.what.key == second.what.key and at_once:
            yield "two submissions with one key at once"


def _in_one_tick(
    book: Book, story: Story, at: At, attempt: int, *, cancelled: bool
) -> Iterator[str]:
    timeout = story.shown[0].job.timeout if story.shown else None
    began = story.first_steps()[attempt]
    timed_out = timeout is not None and isclose(at.time, began.time + timeout)
    closing = book.closing.get(at.life)
    shut_down = closing is not None and closing.number < at.number and _interrupts(book, at)
    if cancelled and timed_out:
        yield "cancel and timeout in one tick"
    if cancelled and shut_down:
        yield "cancel and shutdown in one tick"
    if timed_out and shut_down:
        yield "timeout and shutdown in one tick"


def _interrupts(book: Book, at: At) -> bool:
    """Whether the close interrupts what runs at this very time: not all at once by chance."""
    grace = book.history.shutdown_grace
    return any(isclose(at.time, stop + grace) for stop in book.stops.get(at.life, ()))
