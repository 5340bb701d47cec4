"""One attempt of a job, from its start to its outcome: the same under every engine.

The steps: build the arguments, run the coroutine, classify how it ended, encode the result,
decide on a retry. Each takes the value of the one before; none of them waits for a store.
"""

import asyncio
import functools
import logging
import random
from collections.abc import Callable
from enum import Enum
from inspect import Parameter, signature
from typing import Any, Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from app.jobs.context import ContextSink, JobContext
from app.jobs.errors import InvalidParams
from app.jobs.ids import id_text
from app.jobs.models import ErrorType, Job, JobError, Json, Millis
from app.jobs.registry import Task
from app.jobs.retry import delay_after, is_retried
from app.jobs.secrets import merged
from app.jobs.signature import BadResult
from app.jobs.texts import class_name, clipped, message_of, traceback_of
from app.jobs.tracing import Span, Trace
from app.scheduler import BackgroundTask, BackgroundTaskScheduler, Step
from app.scheduler.states import COMPLETE

log = logging.getLogger(__name__)

STUBBORN_AFTER: Final = 10.0
"""Seconds after which a coroutine that was told to stop and goes on is named in a warning."""


_RESERVED: Final = frozenset(
    parameter.name
    for parameter in signature(BackgroundTaskScheduler.create_task).parameters.values()
    if parameter.kind is Parameter.KEYWORD_ONLY
)
"""Arguments that the scheduler would take for its own."""


class Interruption(Enum):
    """Why an attempt was told to stop; what it returns or raises then is read in this light."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"
    SHUTDOWN = "shutdown"


class Outcome(Struct, frozen=True, kw_only=True):
    """How an attempt ended and the job's next step.

    If the store has a cancel on record when this is written, the step is `CANCEL` whatever stands
    here, with `returned` as the result and `raised` as the error. Else a completed job has
    `returned` as its result, and a failed one `error`; `retry_at` is set when the step is `RETRY`.
    """

    step: Step
    returned: Json | None = None
    raised: JobError | None = None
    error: JobError | None = None
    retry_at: Millis | None = None


class Limits(Struct, frozen=True, kw_only=True):
    """What a runner goes by beside the task's own options."""

    max_result_size: int
    now: Callable[[], Millis]
    random: Callable[[], float] = random.random
    exception_text: bool = True
    """Whether a job's error has what its exception says, or the exception's type alone."""
    trace: Trace | None = None


class Attempt:
    """One attempt of a job. `on_outcome` is called once, when the coroutine has really ended."""

    __slots__ = (
        "_interruption",
        "_limits",
        "_on_outcome",
        "_running",
        "_sink",
        "_span",
        "_task",
        "_timer",
        "job",
    )

    def __init__(
        self,
        task: Task,
        job: Job,
        sink: ContextSink,
        limits: Limits,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._task = task
        self.job = job
        """As it was when the attempt began."""
        self._sink = sink
        self._limits = limits
        self._on_outcome = on_outcome
        self._interruption: Interruption | None = None
        self._running: BackgroundTask[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._span: Span | None = None

    @property
    def interruption(self) -> Interruption | None:
        """Why it was told to stop, if it was."""
        return self._interruption

    @property
    def running(self) -> BackgroundTask[Any] | None:
        """The coroutine in the scheduler, once `start` has begun it."""
        return self._running

    @property
    def coroutine(self) -> object | None:
        """The task's own, while it runs or is about to."""
        outer = None if self._running is None else self._running.coroutine
        if self._span is None:
            return outer
        return getattr(outer, "cr_await", None) or outer  # not the span's, which is around it

    def start(
        self, scheduler: BackgroundTaskScheduler, arguments: dict[str, Any] | None = None
    ) -> None:
        """Begin; the coroutine takes its first step in a later turn of the event loop.

        `arguments` are what the job's params stand for, if that is known already.
        """
        job, params = self.job, self._task.params
        if self._limits.trace is not None:
            self._span = self._limits.trace(job)
        try:
            if arguments is None:
                arguments = params.parse(merged(job.params, job.secrets))
        except InvalidParams as error:
            error_of_job = JobError(ErrorType.INVALID_PARAMS, clipped(str(error)))
            self._end(Outcome(step=Step.FAIL, error=error_of_job))
            return
        if params.context_name is not None:
            arguments[params.context_name] = self._context()
        function, name = self._task.function, f"{job.task} {id_text(job.id)}"
        if self._span is not None or not _RESERVED.isdisjoint(arguments):
            function, arguments = functools.partial(function, **arguments), {}
        if self._span is not None:
            function = functools.partial(self._span.run, function)
        self._running = scheduler.create_task(function, name=name, **arguments)
        self._running.add_done_callback(self._finished)
        if job.timeout is not None:
            self._set_timer(job.timeout, self.interrupt, Interruption.TIMEOUT)

    def _context(self) -> JobContext:
        job, clock = self.job, asyncio.get_running_loop().time  # by which it times out, too
        return JobContext(job.id, job.attempt, job.labels, self._sink, job.timeout, clock)

    def interrupt(self, reason: Interruption) -> bool:
        """Tell the coroutine to stop; True if this call did. The first reason stays.

        An attempt gets one `CancelledError`, so that a timeout cannot break into the clean-up
        after a cancel, nor the other way round.
        """
        running = self._running
        if running is None or running.cancel_requested or running.status().finished:
            return False
        self._interruption = reason
        running.cancel()
        if not running.status().finished:
            self._set_timer(STUBBORN_AFTER, self._warn_of_stubborn, reason)
        return True

    def _finished(self, running: BackgroundTask[Any]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if running.cancel_requested and self._interruption is None:
            self._interruption = Interruption.SHUTDOWN  # by the scheduler, at its close
        exception = running.exception()
        if exception is None:
            ended = self._encode(running.get_result())
        else:
            error = self._error_of(exception)
            ended = _Ended(raised=error, exception=exception)
            self._tell_of(exception, error)
        self._end(self._classify(ended))

    def _end(self, outcome: Outcome) -> None:
        if self._span is not None:
            self._span.ended(outcome.step, outcome.error or outcome.raised)
        self._on_outcome(outcome)

    def _encode(self, value: Any) -> "_Ended":
        """The result as JSON, or the error that it is none. An interrupted None is no result."""
        if value is None and self._interruption is not None:
            return _Ended()
        try:
            result = self._task.result.encode(value)
        except BadResult as error:
            told = self._limits.exception_text  # a validator's text may be part of it
            message = clipped(str(error)) if told else "the result is not as its task declares"
            return _Ended(raised=JobError(ErrorType.BAD_RESULT, message))
        limit = self._limits.max_result_size
        if len(result) > limit:
            message = f"the result is {len(result)} bytes of JSON; the limit is {limit}"
            return _Ended(raised=JobError(ErrorType.BAD_RESULT, message))
        return _Ended(returned=result)

    def _error_of(self, exception: BaseException) -> JobError:
        name = class_name(exception)
        message = message_of(exception) if self._limits.exception_text else name
        return JobError(ErrorType.EXCEPTION, message, exception=name)

    def _classify(self, ended: "_Ended") -> Outcome:
        """How the attempt ended: by our own flag, else by what the coroutine did."""
        match self._interruption:
            case None:
                if ended.raised is not None:
                    return self._failed(ended.raised, ended)
                return Outcome(step=COMPLETE, returned=ended.returned)
            case Interruption.CANCEL:
                return Outcome(step=Step.CANCEL, returned=ended.returned, raised=ended.raised)
            case Interruption.TIMEOUT:
                text = f"the attempt took longer than its {self.job.timeout:g} s"
                return self._failed(JobError(ErrorType.TIMEOUT, text), ended)
            case Interruption.SHUTDOWN:
                text = "the server shut down during the attempt"
                return self._failed(JobError(ErrorType.INTERRUPTED, text), ended)
            case never:
                assert_never(never)

    def _failed(self, error: JobError, ended: "_Ended") -> Outcome:
        outcome = Outcome(step=Step.FAIL, returned=ended.returned, raised=ended.raised, error=error)
        if not is_retried(error, ended.exception, self._task.options.retry_on):
            return outcome
        return retried(outcome, self.job, self._task, self._limits)

    def _set_timer(self, delay: float, function: Callable[..., object], *args: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay, function, *args)

    def _warn_of_stubborn(self, reason: Interruption) -> None:
        text = "job %s (%s) still runs %g s after its %s"
        log.warning(text, self.job.id, self.job.task, STUBBORN_AFTER, reason.value)

    def _tell_of(self, exception: BaseException, error: JobError) -> None:
        """A traceback goes to the server's log and its traces, never to a client."""
        job = self.job
        frames = traceback_of(exception, messages=self._limits.exception_text)
        log.warning("job %s (%s) raised\n%s", job.id, job.task, frames)
        if self._span is not None:
            self._span.raised(error, frames)


def crashed(job: Job, task: Task | None, limits: Limits) -> Outcome:
    """The outcome of an attempt whose process died: it counts, and is retried if any is left.

    `task` is None when it is no longer in the registry.
    """
    error = JobError(ErrorType.INTERRUPTED, "the process that ran the attempt died")
    return retried(Outcome(step=Step.FAIL, error=error), job, task, limits)


def retried(outcome: Outcome, job: Job, task: Task | None, limits: Limits) -> Outcome:
    """The outcome with another attempt after its back-off, or as it is when none is left."""
    if job.attempt >= job.max_attempts:
        return outcome
    backoff = 0.0 if task is None else task.options.backoff
    delay = delay_after(job.attempt, backoff, limits.random)
    return replace(outcome, step=Step.RETRY, retry_at=limits.now() + round(delay * 1000))


class _Ended(Struct, frozen=True, kw_only=True):
    """What the coroutine did: the JSON it returned, or what it raised."""

    returned: Json | None = None
    raised: JobError | None = None
    exception: BaseException | None = None
