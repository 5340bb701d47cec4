"""What must hold of every history: each rule says of one job's life what is wrong with it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final, TypeAlias

from tests.crash.storm.history import History, Life, Sight, seconds_of

LASTING: Final = ("task", "labels", "priority", "max_attempts", "timeout", "created_at")


Rule: TypeAlias = Callable[[Life], Iterator[str]]


def violations(history: History, rules: Iterable[Rule] | None = None) -> list[str]:
    """What is wrong by these rules, or by those of one server: rule, job, and what was seen."""
    lives = history.lives()
    found = [
        f"{rule.__name__.replace('_', ' ')}: {life.job_id}: {text}"
        for life in lives
        for rule in (RULES if rules is None else rules)
        for text in rule(life)
    ]
    return found + list(one_job_for_a_key(history.sights)) + list(no_strangers(history, lives))


def found_again(life: Life) -> Iterator[str]:
    """A job that any answer showed is there whenever it is asked for."""
    if life.missing is not None:
        yield f"a GET was answered {life.missing.status}"
    elif life.last is None:
        yield "it is not there at the end"


def found_as_it_was(life: Life) -> Iterator[str]:
    """Its task, params and times are those that it was accepted with."""
    first = life.sights[0]
    for sight in life.sights:
        yield from (f"{name} has changed" for name in LASTING if sight.job[name] != first.job[name])
    for one, other in pairwise(sight for sight in life.whole):
        if one.job["params"] != other.job["params"]:
            yield "params have changed"
    first_due = {s.job["run_at"] for s in life.sights if s.place < (1, 1)}
    if len(first_due) > 1:
        yield f"the due time has changed: {first_due}"
    starts = {(a["number"], a["started_at"]) for s in life.whole for a in s.job["attempts"]}
    if len(starts) != len({number for number, _ in starts}):
        yield f"the time of a start has changed: {starts}"


def as_submitted(life: Life) -> Iterator[str]:
    """What was asked for is what was accepted."""
    for sight in life.sights:
        if sight.sent is None:
            continue
        for name in ("task", "params", "labels", "priority"):
            if name in sight.sent and sight.sent[name] != sight.job[name]:
                yield f"{name} is {sight.job[name]}, not {sight.sent[name]}"
        due = seconds_of(sight.job["run_at"]) - seconds_of(sight.job["created_at"])
        if sight.place < (1, 1) and abs(due - sight.sent.get("delay", 0)) > 0.0015:
            yield f"it is due {timedelta(seconds=due)} after its creation"


def never_taken_back(life: Life) -> Iterator[str]:
    """Of two answers, the one that was asked for later shows no earlier state."""
    for one, other in later_asked(life.sights):
        if other.place < one.place:
            yield f"{one.job['status']} {one.place}, then {other.job['status']} {other.place}"
        if one.job["cancel_requested_at"] not in (None, other.job["cancel_requested_at"]):
            yield "its cancel was taken back"
    for one, other in later_asked(life.whole):
        if other.version < one.version:
            yield f"version {one.version}, then {other.version}"


def final_once_ended(life: Life) -> Iterator[str]:
    """A finished job never changes, to the last byte."""
    bodies = {sight.body for sight in life.whole if sight.job["done"]}
    if len(bodies) > 1:
        yield f"it was shown in {len(bodies)} versions: {sorted(bodies)}"
    ends = {sight.job["status"] for sight in life.sights if sight.job["done"]}
    if len(ends) > 1:
        yield f"it ended as {ends}"


def ends(life: Life) -> Iterator[str]:
    """Every job ends."""
    if life.last is not None and not life.last.job["done"]:
        yield f"it is {life.last.job['status']} at the end"


def cancel_holds(life: Life) -> Iterator[str]:
    """An accepted cancel ends as cancelled, and nothing starts after it was acknowledged."""
    if life.cancelled_at is None or life.last is None:
        return
    if life.last.job["done"] and life.last.job["status"] != "cancelled":
        yield f"it was cancelled, and ended as {life.last.job['status']}"
    for line in life.told("started"):
        if line.at > life.cancelled_at:
            yield f"attempt {line.attempt} started after the cancel was acknowledged"


def cancels_agree(life: Life) -> Iterator[str]:
    """Every answer to a DELETE shows the one cancel on record, or the end that came before it."""
    if life.last is None:
        return
    for sight in life.sights:
        if sight.how != "cancel":
            continue
        shown, final = sight.job["cancel_requested_at"], life.last.job["cancel_requested_at"]
        if shown != final:
            yield f"a DELETE showed a cancel at {shown}, the job has {final}"
        if shown is None and not sight.job["done"]:
            yield f"a DELETE was answered {sight.job['status']}, without a cancel"


def cancelled_for_a_reason(life: Life) -> Iterator[str]:
    """Only a cancel makes cancelled, and it does nothing else."""
    if life.last is None or not life.last.job["done"]:
        return
    job = life.last.job
    if (job["status"] == "cancelled") != (job["cancel_requested_at"] is not None):
        yield f"it is {job['status']}, its cancel was requested at {job['cancel_requested_at']}"


def starts_are_counted(life: Life) -> Iterator[str]:
    """No attempt starts twice, or without being counted; those that may not be repeated do not."""
    started = Counter(line.attempt for line in life.told("started"))
    allowed = life.sights[0].job["max_attempts"]
    yield from (f"attempt {number} started {n} times" for number, n in started.items() if n > 1)
    if len(started) > allowed:
        yield f"it started {len(started)} times, and may {allowed} times"
    if life.last is None:
        return
    attempts = life.last.job["attempts"]
    if [attempt["number"] for attempt in attempts] != list(range(1, life.last.job["attempt"] + 1)):
        yield f"its attempts are not numbered from 1 to {life.last.job['attempt']}"
    if uncounted := started.keys() - {attempt["number"] for attempt in attempts}:
        yield f"attempts {uncounted} started and are not counted"
    for attempt in attempts:
        excused = attempt["outcome"] == "cancelled" or _interrupted(attempt)
        if attempt["number"] not in started and not excused:
            yield f"attempt {attempt['number']} is counted, and did not start"


def no_made_up_end(life: Life) -> Iterator[str]:
    """An attempt's outcome is what its coroutine did, or says that it was cut off."""
    if life.last is None:
        return
    job = life.last.job
    for attempt in job["attempts"]:
        end = life.ended(attempt["number"])
        what = None if end is None else end.what
        if attempt["outcome"] == "completed" and what != "returned":
            yield f"attempt {attempt['number']} completed, and its coroutine did not return"
        if attempt["outcome"] == "failed" and not _interrupted(attempt) and what != "raised":
            yield f"attempt {attempt['number']} failed, and its coroutine did not raise"
        if _interrupted(attempt) and not life.stopped_between(
            attempt["started_at"], attempt["finished_at"]
        ):
            yield f"attempt {attempt['number']} was interrupted by nothing"


def ends_as_its_last_attempt(life: Life) -> Iterator[str]:
    """A job that was not cancelled ends as its last coroutine did, and says the same of it."""
    if life.last is None or life.last.job["status"] not in ("completed", "failed"):
        return
    job, last = life.last.job, life.last.job["attempts"][-1]
    if (job["status"], job["error"]) != (last["outcome"], last["error"]):
        yield f"it {job['status']} with {job['error']}; attempt {last['number']} was {last}"


def result_is_what_was_returned(life: Life) -> Iterator[str]:
    """The result of a job is the very value that its last coroutine returned."""
    if life.last is None or not life.last.job["done"]:
        return
    job = life.last.job
    end = life.ended(job["attempt"])
    value = end.value if end is not None and end.what == "returned" else None
    if job["result"] not in (None, value):
        yield f"its result is {job['result']}, its coroutine returned {value}"
    if job["result"] is None and value is not None:
        excused = job["status"] != "completed" and end and life.cut_off(end)
        if not excused:
            yield f"its result is lost: its coroutine returned {value}"


def repeated_while_it_may(life: Life) -> Iterator[str]:
    """A job fails for good only when its attempts are used up."""
    if life.last is None:
        return
    job = life.last.job
    if job["status"] == "failed" and job["attempt"] < job["max_attempts"]:
        yield f"it failed after {job['attempt']} of {job['max_attempts']} attempts"


def one_cancelled_error(life: Life) -> Iterator[str]:
    """A cancelled coroutine gets one `CancelledError`, and its clean-up may finish."""
    errors = Counter(line.attempt for line in life.told("cancelled"))
    yield from (f"attempt {number} got {n}" for number, n in errors.items() if n > 1)
    for line in life.told("cancelled"):
        if not life.told("cleaned up", line.attempt) and not life.cut_off(line):
            yield f"the clean-up of attempt {line.attempt} did not finish"
    last = life.last
    if last is None or last.job["status"] != "cancelled":
        return
    number = last.job["attempt"]
    for line in life.told("started", number):
        if not (errors[number] or life.ended(number) or life.cut_off(line)):
            yield f"the coroutine of attempt {number} was never told"


RULES: Final[list[Rule]] = [
    found_again,
    found_as_it_was,
    as_submitted,
    never_taken_back,
    final_once_ended,
    ends,
    cancel_holds,
    cancels_agree,
    cancelled_for_a_reason,
    starts_are_counted,
    no_made_up_end,
    ends_as_its_last_attempt,
    result_is_what_was_returned,
    repeated_while_it_may,
    one_cancelled_error,
]


def one_job_for_a_key(sights: Iterable[Sight]) -> Iterator[str]:
    """A key always finds the one job that came with it."""
    jobs: dict[str, str] = {}
    for sight in sights:
        if sight.key and jobs.setdefault(sight.key, sight.job["id"]) != sight.job["id"]:
            yield f"one job for a key: {sight.key} found {jobs[sight.key]} and {sight.job['id']}"


def no_strangers(history: History, lives: Iterable[Life]) -> Iterator[str]:
    """What was acknowledged, and what runs, is a job that the server shows."""
    known = {life.job_id for life in lives}
    for one in history.missing:
        if one.job_id not in known:
            yield f"no strangers: {one.job_id}: a GET was answered {one.status}"
    unknown = {line.job_id for line in history.lines} - known
    yield from (f"no strangers: {job_id} started and is not there" for job_id in unknown)


def later_asked(sights: Iterable[Sight]) -> Iterator[tuple[Sight, Sight]]:
    """Pairs of the furthest state that was shown before a request left, and what it was shown."""
    by_answer = sorted(sights, key=lambda sight: sight.at)
    furthest: Sight | None = None
    shown = 0
    for sight in sorted(by_answer, key=lambda sight: sight.asked):
        while by_answer[shown].at < sight.asked:
            furthest = max(furthest or by_answer[shown], by_answer[shown], key=_how_far)
            shown += 1
        if furthest is not None:
            yield furthest, sight


def _how_far(sight: Sight) -> tuple[tuple[int, int], bool, int]:
    return sight.place, sight.job["cancel_requested_at"] is not None, sight.version


def _interrupted(attempt: Any) -> bool:
    return attempt["error"] is not None and attempt["error"]["type"] == "interrupted"
