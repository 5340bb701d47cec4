"""Traces: FastAPI makes a span of each request, and each attempt of a job is one here.

Whatever OpenTelemetry lets the environment say (OTEL_…) holds: where spans go, which are kept, what
this process is called. An attempt is not part of its submission's trace, which may have ended days
before, but linked to it.
"""

import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__
from app.jobs.errors import StartUpError
from app.jobs.models import Job, JobError
from app.scheduler import Step

if TYPE_CHECKING:  # who asks for no traces needs none of it
    from opentelemetry.sdk.trace.export import SpanExporter

T = TypeVar("T")

log = logging.getLogger(__name__)

CLOSE_WITHIN: Final = 1.0
"""Seconds in which the last spans may be sent."""

_ASKING: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_TRACES_EXPORTER",
)
"""Any of these asks for traces."""

_PROTOCOL: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_GRPC: Final = "otlp_proto_grpc"
_OTLP: Final = {"http/protobuf": "otlp_proto_http", "grpc": _GRPC}
"""The names of exporters, by protocol."""

NO_TRACES: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
"""What FastAPI is to make of requests without traces."""

_SILENT: Final = ("/livez", "/readyz", "/metrics")

_W3C: Final = TraceContextTextMapPropagator()

_OUTCOMES: Final = {
    Step.COMPLETE: "completed",
    Step.CANCEL: "cancelled",
    Step.FAIL: "failed",
    Step.RETRY: "failed",
}


class Tracing:
    """Sends spans to the exporters while it is open."""

    def __init__(self, exporters: Sequence["SpanExporter"]) -> None:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider

        self._exporters = exporters
        resource = Resource.create({"service.name": "awaitd", "service.version": __version__})
        resource = resource.merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._tracer = self._provider.get_tracer("awaitd", __version__)

    @property
    def of_requests(self) -> TelemetryConfig:
        """What FastAPI is to make of requests: one span of each, but for those of monitors."""
        return {
            "tracer_provider": self._provider,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
            "exclude": lambda scope: scope.get("path") in _SILENT,
        }

    def here(self) -> str | None:
        """The `traceparent` of what is being done here, if that is part of a trace."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier.get("traceparent")

    def attempt(self, job: Job) -> "AttemptSpan":
        """Begin the span of a job's attempt, linked to its submission."""
        context = _W3C.extract({"traceparent": job.traceparent or ""}, Context())
        submission = trace.get_current_span(context).get_span_context()
        span = self._tracer.start_span(
            f"run {job.task}",
            Context(),
            SpanKind.CONSUMER,
            {
                "awaitd.job.id": str(job.id),
                "awaitd.task": job.task,
                "awaitd.attempt": job.attempt,
            },
            [Link(submission)],  # dropped if it is none
        )
        return AttemptSpan(span)

    def __enter__(self) -> Self:
        """Begin to send; what tasks and their libraries trace by themselves is sent, too.

        Raises `StartUpError`.
        """
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        try:
            for exporter in self._exporters:
                self._provider.add_span_processor(BatchSpanProcessor(exporter))
        except ValueError as error:
            raise StartUpError(f"the settings OTEL_BSP_… do not fit: {error}") from error
        trace.set_tracer_provider(self._provider)
        return self

    def __exit__(self, *_: object) -> None:
        """Send the last ones, but for so long only."""
        # In a thread of its own, since an exporter has no limit of time that it keeps to.
        sending = threading.Thread(
            target=self._provider.shutdown, name="awaitd-traces", daemon=True
        )
        sending.start()
        sending.join(CLOSE_WITHIN)
        if sending.is_alive():
            log.warning("the last spans could not be sent within %g s", CLOSE_WITHIN)


class AttemptSpan:
    """One attempt of a job as a span."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    async def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run the coroutine inside: spans that its code begins are parts of this one."""
        # Never to be taken back: the context is the coroutine's own, and ends with it.
        attach(trace.set_span_in_context(self._span))
        return await function()

    def raised(self, error: JobError, traceback: str) -> None:
        """The coroutine has raised this."""
        event = {
            "exception.type": error.exception or "",
            "exception.message": error.message,
            "exception.stacktrace": traceback,
        }
        self._span.add_event("exception", event)

    def ended(self, step: Step, error: JobError | None) -> None:
        """The attempt is over; `error` is why it has failed, or what its clean-up raised."""
        self._span.set_attribute("awaitd.outcome", _OUTCOMES[step])
        if error is not None:
            self._span.set_attribute("error.type", error.exception or error.type.value)
            self._span.set_status(StatusCode.ERROR, error.message)
        self._span.end()


def tracing_of(environment: Mapping[str, str]) -> Tracing | None:
    """What the environment asks for; None if nothing, or without the libraries that it takes.

    Raises `StartUpError` for an exporter that is not installed, and for values that are none.
    """
    exporters = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    asking = [name for name in _ASKING if environment.get(name)]
    is_off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if not asking or is_off or exporters == "none":
        return None
    if not find_spec("opentelemetry.sdk"):
        log.warning("%s is set, but there are no traces: install awaitd[otel]", asking[0])
        return None
    names = [name.strip() for name in exporters.split(",")]
    try:
        return Tracing([_exporter(name, environment) for name in names if name != "none"])
    except ValueError as error:
        raise StartUpError(f"the settings OTEL_… do not fit: {error}") from error


def _exporter(name: str, environment: Mapping[str, str]) -> "SpanExporter":
    installed = _otlp(environment) if name == "otlp" else name
    for entry in entry_points(group="opentelemetry_traces_exporter", name=installed):
        make: Callable[[], SpanExporter] = entry.load()
        return make()
    if installed == _GRPC:
        raise StartUpError(
            "OTLP over gRPC needs opentelemetry-exporter-otlp-proto-grpc: install it"
        )
    raise StartUpError(f"OTEL_TRACES_EXPORTER: there is no exporter {name!r}; the usual is otlp")


def _otlp(environment: Mapping[str, str]) -> str:
    """The exporter for the protocol that the environment names."""
    for name in _PROTOCOL:
        if protocol := environment.get(name):
            if protocol not in _OTLP:
                known = " or ".join(_OTLP)
                raise StartUpError(f"{name}: there is no {protocol!r}; it is {known}")
            return _OTLP[protocol]
    return _OTLP["http/protobuf"]
