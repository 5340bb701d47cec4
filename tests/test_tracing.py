import socket
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.jobs.errors import StartUpError
from app.jobs.options import TaskOptions
from app.jobs.registry import task_from
from app.jobs.runner import Attempt, Outcome
from app.scheduler import BackgroundTaskScheduler, Step
from app.tracing import Tracing, tracing_of
from tests.jobs.attempts import JOB, LIMITS, Notebook
from tests.support.cluster import ENGINES, served
from tests.support.collector import Collector, attributes_of, collecting
from tests.support.command import run
from tests.support.server import Server

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
WAIT = {"Prefer": "wait=10"}

TASKS = '''
from opentelemetry import trace
from app.jobs import task

@task()
async def work(password: str = "") -> None:
    """Traces what it does."""
    with trace.get_tracer("mine").start_as_current_span("a part of it"):
        pass
'''


def tasks_in(folder: Path) -> str:
    """The file of tasks, once it is there."""
    file = folder / "traced.py"
    file.write_text(TASKS)
    return str(file)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_trace_from_the_caller_to_the_job(engine: str, tmp_path: Path) -> None:
    """The caller's span has the submission's below it, to which the job's is linked."""
    with collecting() as collector:
        settings = {
            "AWAITD_TASKS": tasks_in(tmp_path),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "60000",  # so that the last ones are sent at the end
        }
        with served(engine, tmp_path, **settings) as server:
            trace = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
            job = server.submit("work", password="hush", headers={**WAIT, **trace})
            server.client.get(f"/jobs/{job['id']}")
            for path in ("/livez", "/readyz", "/metrics", "/nowhere"):
                server.client.get(path)
    require_one_trace(collector, job["id"])
    asked = {span.name for _, span in collector.spans if span.name.startswith("GET")}
    assert asked == {"GET", "GET /jobs/{job_id}"}
    assert {service for service, _ in collector.spans} == {"awaitd"}
    assert "hush" not in str(collector.spans)


def require_one_trace(collector: Collector, job_id: str) -> None:
    """Who calls, the submission, and linked to it the attempt with what its task traces."""
    [submission], [attempt] = collector.named("POST /jobs"), collector.named("run work")
    assert (submission.trace_id.hex(), submission.parent_span_id.hex()) == (TRACE, SPAN)
    assert attributes_of(submission)["http.route"] == "/jobs"
    [link] = attempt.links
    assert (link.trace_id, link.span_id) == (submission.trace_id, submission.span_id)
    assert attempt.trace_id != submission.trace_id
    assert attributes_of(attempt)["awaitd.job.id"] == job_id
    [part] = collector.named("a part of it")
    assert (part.trace_id, part.parent_span_id) == (attempt.trace_id, attempt.span_id)


def test_traces_are_called_as_the_environment_says(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """The name of the service, and which traces are kept."""
    with collecting() as collector:
        server = start_server(
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces",
            OTEL_SERVICE_NAME="mine",
            OTEL_TRACES_SAMPLER="parentbased_always_off",
        )
        server.submit("echo", value=1, headers=WAIT)
        trace = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
        server.submit("echo", value=1, headers={**WAIT, **trace})
        server.terminate()
    assert [(service, span.name) for service, span in collector.spans] == [("mine", "POST /jobs")]


def test_a_collector_that_is_not_there(start_server: Callable[..., Server]) -> None:
    """Jobs run as ever, and the server ends well."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    server = start_server(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert server.submit("echo", value=1, headers=WAIT)["status"] == "completed"
    assert server.terminate() == 0


def test_params_that_no_longer_fit() -> None:
    """The attempt of a job that cannot even begin is a span, too."""

    async def work() -> None: ...

    exporter, outcomes = InMemorySpanExporter(), list[Outcome]()
    with Tracing([exporter]) as tracing:
        job, limits = replace(JOB, params=b'{"x":1}'), replace(LIMITS, trace=tracing.attempt)
        attempt = Attempt(task_from(work, TaskOptions()), job, Notebook(), limits, outcomes.append)
        attempt.start(BackgroundTaskScheduler())
    [span] = exporter.get_finished_spans()
    assert (span.attributes or {})["error.type"] == "invalid-params"
    assert [outcome.step for outcome in outcomes] == [Step.FAIL]


class Stuck(SpanExporter):
    """Never gets a span sent until it is let go."""

    def __init__(self) -> None:
        self.tries = 0
        self.let_go = socket.socketpair()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.tries += 1
        self.let_go[1].recv(1)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...


def test_nobody_waits_long_for_the_last_spans(caplog: pytest.LogCaptureFixture) -> None:
    """A collector that never answers holds up the end of the process by no more than a second."""
    exporter = Stuck()
    with Tracing([exporter]) as tracing:
        tracing.attempt(JOB).ended(Step.COMPLETE, None)
    assert exporter.tries == 1
    assert "could not be sent within 1 s" in caplog.text
    exporter.let_go[0].send(b"-")
    for end in exporter.let_go:
        end.close()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "mine"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "TRUE"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_no_traces(environment: dict[str, str]) -> None:
    """Nobody has asked for traces, or they are switched off."""
    assert tracing_of(environment) is None


def test_settings_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start-up stops with a message of one line."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    tracing = Tracing([InMemorySpanExporter()])
    with pytest.raises(StartUpError, match=r"OTEL_BSP_.*max_queue_size"), tracing:
        pass


def test_an_exporter_that_is_not_installed() -> None:
    """Start-up stops and says which; others than the usual one may be named."""
    assert tracing_of({"OTEL_TRACES_EXPORTER": "otlp, console, none"}) is not None
    with pytest.raises(StartUpError, match="no exporter 'otlb'"):
        tracing_of({"OTEL_TRACES_EXPORTER": "otlb"})


def test_the_protocol() -> None:
    """What the environment names is spoken; what is not installed, or is none, is refused."""
    asked = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    usual = asked | {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}
    assert tracing_of(usual) is not None
    if find_spec("opentelemetry.exporter.otlp.proto.grpc") is None:
        with pytest.raises(StartUpError, match="gRPC needs opentelemetry-exporter-otlp-proto-grpc"):
            tracing_of(asked)
    with pytest.raises(StartUpError, match="OTEL_EXPORTER_OTLP_PROTOCOL: there is no 'smoke'"):
        tracing_of(asked | {"OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"})


def test_values_that_are_none(tmp_path: Path) -> None:
    """A start with a wrong value of OpenTelemetry's says so in one line."""
    for name, value in (
        ("OTEL_PROPAGATORS", "tracecontext,smoke"),
        ("OTEL_PROPAGATORS", "tracecontext,"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
    ):
        settings = {name: value, "OTEL_TRACES_EXPORTER": "console", "AWAITD_PORT": "0"}
        ended = run("serve", folder=tmp_path, **settings)
        assert ended.returncode in (1, 2)
        [line] = ended.stderr.splitlines()
        assert line.startswith("awaitd: ")
        assert name in line
        assert value.rpartition(",")[2] in line


def test_without_the_libraries(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asks for traces that cannot be had is told what to install, and served."""
    missing: Any = None
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", missing)
    assert tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}) is None
    assert "install awaitd[otel]" in caplog.text
