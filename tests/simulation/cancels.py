"""What is promised of cancels, keys, order and limits."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import permutations

from app.jobs.models import Job
from app.scheduler import Status
from tests.simulation.book import Book, Call, Story
from tests.simulation.history import Began, Ended, Finished, Opening
from tests.simulation.tasks import LIMITS


def cancels_hold(book: Book) -> Iterator[str]:
    """A cancel that was acknowledged ends as cancelled, and no later attempt begins."""
    for story in book.stories.values():
        for call, job in story.cancels:
            yield from _broken(story, call, job)
        times = {job.cancel_requested_at for _, job in story.cancels} - {None}
        if len(times) > 1:
            yield f"cancels do not agree: {story.cancels}"


def _broken(story: Story, call: Call, job: Job) -> Iterator[str]:
    if job.status is Status.PENDING or (not job.done and job.cancel_requested_at is None):
        yield f"a cancel left {job}"
    if job.done and job.status is not Status.CANCELLED:
        return
    if story.final is not None and story.final.status is not Status.CANCELLED:
        yield f"{job.id} was cancelled and is {story.final.status}"
    for at, attempt in story.began:
        if at.number > call.at.number and attempt > job.attempt:
            yield f"attempt {attempt} of {job.id} began after its cancel"


def cancelled_error_comes_once(book: Book) -> Iterator[str]:
    """One `CancelledError` reaches an attempt that is to stop, at once."""
    for job_id, story in book.stories.items():
        for attempt, count in Counter(attempt for _, attempt in story.interrupted).items():
            if count > 1:
                yield f"attempt {attempt} of {job_id} got {count} CancelledErrors"
        for call, job in story.cancels:
            if job.status is Status.RUNNING and not _has_heard(book, story, call, job):
                yield f"attempt {job.attempt} of {job_id} never heard of its cancel"


def _has_heard(book: Book, story: Story, call: Call, job: Job) -> bool:
    began = story.first_steps().get(job.attempt)
    if began is None or began.life != call.at.life:
        return True
    ended = story.finished.get(job.attempt)
    last = book.ended[call.at.life] if ended is None else ended[0]
    heard = any(attempt == job.attempt for _, attempt in story.interrupted)
    return heard or last.time <= call.at.time


def one_job_for_a_key(book: Book) -> Iterator[str]:
    """Equal submissions with one key are one job, as long as it is there."""
    latest: dict[str, Job] = {}
    for call in book.calls:
        if call.what.what == "submit" and (key := call.what.key) and call.answer.jobs:
            job = call.answer.jobs[0]
            before = latest.setdefault(key, job)
            if before.id != job.id and not book.is_expired(book.stories[before.id], call.at):
                yield f"key {key!r} made {before.id} and {job.id}"
            latest[key] = job


def first_come_first_served(book: Book) -> Iterator[str]:
    """Of one task, what came first and is no less urgent begins no later."""
    if book.faults & {"clock back", "clock forward"}:
        return  # due times are the wall clock's
    by_task: defaultdict[str, list[tuple[Job, float]]] = defaultdict(list)
    for story in book.stories.values():
        began = story.first_steps().get(1)
        if story.accepted and began is not None and _is_first(job := story.accepted[0][1]):
            by_task[job.task].append((job, began.time))
    for of_task in by_task.values():
        for (job, time), (later, later_time) in permutations(of_task, 2):
            behind = job.id < later.id and job.run_at <= later.run_at
            if behind and later.priority <= job.priority and later_time < time:
                yield f"{later.id} overtook {job.id}"


def _is_first(job: Job) -> bool:
    """Whether it is shown before any other attempt than the first was due."""
    return job.attempt == 0 or (job.attempt == 1 and job.started_at is not None)


def nothing_before_its_time(book: Book) -> Iterator[str]:
    """No attempt begins before it is due, be it by a delay or by a back-off."""
    for job_id, story in book.stories.items():
        steps = story.first_steps()
        for shown in story.shown:
            began = steps.get(shown.job.attempt + 1)
            if shown.job.status is not Status.PENDING or began is None:
                continue
            if book.latest_wall[began.number] < shown.job.run_at:
                yield f"{job_id} began at {began.wall}, and is due at {shown.job.run_at}"


def slots_are_kept(book: Book) -> Iterator[str]:
    """No more coroutines run at once than there are slots, for all and for each task."""
    tasks = {job_id: s.shown[0].job.task for job_id, s in book.stories.items() if s.shown}
    running: Counter[str] = Counter()
    for event in book.history.events:
        match event.what:
            case Opening() | Ended():
                running.clear()
            case Began(job_id, _):
                task = tasks.get(job_id, "")
                running.update((task, "all"))
                limit = LIMITS.get(task) or running[task]
                if running["all"] > book.history.max_running or running[task] > limit:
                    yield f"{job_id} has no slot: {dict(running)}"
            case Finished(job_id, _):
                running.subtract((tasks.get(job_id, ""), "all"))
            case _:
                pass
