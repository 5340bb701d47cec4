"""The span of each attempt. What stands here is promised by every engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from app.jobs.engine import Engine
from app.jobs.models import ErrorType, JobError
from app.scheduler import Status
from app.tracing import Tracing
from tests.engines.harness import accepted, ended
from tests.engines.puppets import Puppets, job_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


class Traced:
    """An open `Tracing`, and the spans of attempts that it has sent, once it is closed."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = Tracing([self._exporter])

    @property
    def spans(self) -> list[ReadableSpan]:
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)


@contextmanager
def traced() -> Iterator[Traced]:
    """Spans may be read after the block."""
    found = Traced()
    with found.tracing:
        yield found


def outcomes(found: Traced) -> list[tuple[object, ...]]:
    """The attempt, outcome and kind of error of each span."""
    names = ("awaitd.attempt", "awaitd.outcome", "error.type")
    return [tuple((span.attributes or {}).get(name) for name in names) for span in found.spans]


def links_of(span: ReadableSpan) -> list[str]:
    """What a span is linked to, as a `traceparent` would name it."""
    contexts = [link.context for link in span.links]
    return [f"00-{c.trace_id:032x}-{c.span_id:016x}-{c.trace_flags:02x}" for c in contexts]


async def test_an_attempt_is_a_span(open_engine: Callable[..., Engine]) -> None:
    """It says of what, is a trace of its own, and is linked to the submission's."""
    with traced() as found:
        async with open_engine(trace=found.tracing.attempt) as engine:
            job = await ended(
                engine, await accepted(engine, job_of("echo", traceparent=TRACEPARENT))
            )
    [span] = found.spans
    assert span.attributes == {
        "awaitd.job.id": str(job.id),
        "awaitd.task": "echo",
        "awaitd.attempt": 1,
        "awaitd.outcome": "completed",
    }
    assert (span.name, span.kind, span.parent) == ("run echo", SpanKind.CONSUMER, None)
    assert (span.status.status_code, span.events) == (StatusCode.UNSET, ())
    assert links_of(span) == [TRACEPARENT]


@pytest.mark.parametrize("traceparent", [None, f"00-{'0' * 32}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01"])
async def test_without_a_trace(open_engine: Callable[..., Engine], traceparent: str | None) -> None:
    """The attempt of a job that was submitted as a part of no trace is linked to nothing."""
    with traced() as found:
        async with open_engine(trace=found.tracing.attempt) as engine:
            await ended(engine, await accepted(engine, job_of("echo", traceparent=traceparent)))
    assert [links_of(span) for span in found.spans] == [[]]


async def test_a_failed_attempt_has_its_exception(
    open_engine: Callable[..., Engine], puppets: Puppets
) -> None:
    """Each attempt has its span, linked alike; the one that raised has what it raised."""
    puppets.fail("a", ValueError("no good \udc80"))
    puppets.end("a", attempt=2)
    with traced() as found:
        async with open_engine(trace=found.tracing.attempt) as engine:
            new = job_of("persistent", "a", traceparent=TRACEPARENT)
            await ended(engine, await accepted(engine, new))
    assert outcomes(found) == [(1, "failed", "ValueError"), (2, "completed", None)]
    assert [links_of(span) for span in found.spans] == [[TRACEPARENT], [TRACEPARENT]]
    failed = found.spans[0]
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "no good ?")
    [event] = failed.events
    told = dict(event.attributes or {})
    assert (event.name, told["exception.type"]) == ("exception", "ValueError")
    assert told["exception.message"] == "no good ?"
    assert "puppets.py" in str(told["exception.stacktrace"])
    assert str(told["exception.stacktrace"]).endswith("no good ?")


async def test_a_span_without_exception_texts(
    open_engine: Callable[..., Engine], puppets: Puppets
) -> None:
    """Where exceptions may not speak, spans have their types and frames alone."""
    puppets.fail("a", ValueError("no good"))
    with traced() as found:
        async with open_engine(trace=found.tracing.attempt, exception_text=False) as engine:
            await ended(engine, await accepted(engine, job_of("hold", "a")))
    assert outcomes(found) == [(1, "failed", "ValueError")]
    assert "no good" not in found.spans[0].to_json()


async def test_other_ends(open_engine: Callable[..., Engine], puppets: Puppets) -> None:
    """A cancel, one whose clean-up broke, a time that ran out, a wrong result are told apart."""
    with traced() as found:
        async with open_engine(trace=found.tracing.attempt) as engine:
            for task in ("hold", "messy"):
                job = await accepted(engine, job_of(task, task))
                await puppets.begun(task)
                await engine.cancel(job.id)
                await ended(engine, job)
            await ended(engine, await accepted(engine, job_of("brief", "b")))
            params = {"value": "one"}
            await ended(engine, await accepted(engine, job_of("number", params=params)))
    ends = [("cancelled", None), ("cancelled", "ValueError")]
    ends += [("failed", "timeout"), ("failed", "bad-result")]
    assert outcomes(found) == [(1, *end) for end in ends]
    codes = [span.status.status_code for span in found.spans]
    assert codes == [StatusCode.UNSET, *[StatusCode.ERROR] * 3]


async def test_a_link_outlives_the_process(
    open_engine: Callable[..., Engine], puppets: Puppets
) -> None:
    """A job that waits over a restart is linked to its submission when it runs."""
    with traced() as found:
        async with open_engine(max_running=1, trace=found.tracing.attempt) as engine:
            await accepted(engine, job_of("hold", "a"))
            await puppets.begun("a")
            job = await accepted(engine, job_of("echo", traceparent=TRACEPARENT))
        async with open_engine(trace=found.tracing.attempt) as engine:
            assert (await ended(engine, job)).status is Status.COMPLETED
    assert [links for span in found.spans if (links := links_of(span))] == [[TRACEPARENT]]


async def test_what_a_task_traces_is_part_of_its_attempt(
    open_engine: Callable[..., Engine], puppets: Puppets
) -> None:
    """The attempt's span is the current one in its own coroutine, and in no other."""
    inside = {}

    def look(name: str) -> None:
        inside[name] = trace.get_current_span().get_span_context().span_id

    puppets.at_first_step = look
    for name in "ab":
        puppets.end(name)
    with traced() as found:
        async with open_engine(trace=found.tracing.attempt) as engine:
            jobs = {name: await accepted(engine, job_of("hold", name)) for name in "ab"}
            for job in jobs.values():
                await ended(engine, job)
        assert not trace.get_current_span().get_span_context().is_valid
    of_jobs = {(s.attributes or {})["awaitd.job.id"]: s.get_span_context() for s in found.spans}
    for name, job in jobs.items():
        context = of_jobs[str(job.id)]
        assert context is not None
        assert inside[name] == context.span_id


class Sealed(Exception):
    """Nobody may tell it where it was raised."""

    @property
    def __traceback__(self) -> None:  # type: ignore[override]
        return None


async def test_a_job_is_the_same_with_a_trace(
    open_engine: Callable[..., Engine], puppets: Puppets
) -> None:
    """Where it awaits, and what it raises, is shown as without one."""
    with traced() as found:
        async with open_engine(trace=found.tracing.attempt) as engine:
            job = await accepted(engine, job_of("hold", "a"))
            await puppets.begun("a")
            frames = (await engine.inspect(job.id)).frames
            puppets.fail("a", Sealed("no good"))
            error = (await ended(engine, job)).error
    assert frames is not None
    assert frames[0].function == "Puppets.hold"
    assert error == JobError(ErrorType.EXCEPTION, "no good", "Sealed")
