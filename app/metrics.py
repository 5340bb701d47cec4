"""The figures as metrics of Prometheus."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, TypeAlias

from prometheus_client import Metric, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from app.jobs.deliveries import DeliveryFigures
from app.jobs.figures import Figures
from app.jobs.observer import Buckets
from app.scheduler import Status

Answers: TypeAlias = Mapping[tuple[str, str], Mapping[int, Buckets]]
"""The seconds that answers took, by method and route template, then by status."""

_TASK: Final = ("task",)


def metrics_of(figures: Figures, deliveries: DeliveryFigures, answers: Answers) -> bytes:
    """The figures in the text format of Prometheus."""
    return generate_latest(_Metrics(figures, deliveries, answers))


class _Metrics(Collector):
    """Made for one answer, so that nothing is counted twice and nothing is shared."""

    def __init__(self, figures: Figures, deliveries: DeliveryFigures, answers: Answers) -> None:
        self._figures = figures
        self._deliveries = deliveries
        self._answers = answers

    def collect(self) -> Iterator[Metric]:
        yield from _jobs(self._figures)
        yield from _slots(self._figures)
        yield from _loop(self._figures)
        yield from _commits(self._figures)
        yield from _webhooks(self._deliveries)
        yield _histogram(
            "awaitd_http_request_duration_seconds",
            "Until an HTTP request was answered in full, waits and streams included.",
            ("method", "route", "status"),
            (
                ((*of, str(status)), seconds)
                for of, by_status in self._answers.items()
                for status, seconds in by_status.items()
            ),
        )


def _jobs(figures: Figures) -> Iterator[Metric]:
    observer = figures.observer
    jobs = GaugeMetricFamily("awaitd_jobs", "Jobs in the store.", labels=("task", "status"))
    for task, known in figures.tasks.items():
        for status, count in known.jobs.items():
            jobs.add_metric((task, status), count)
    yield jobs
    text = "Jobs that have ended, by outcome."
    ended = CounterMetricFamily("awaitd_jobs_ended", text, labels=("task", "status"))
    for task, ends in observer.ends.items():
        for status, count in ends.items():
            ended.add_metric((task, status), count)
    yield ended
    text = "How long the attempts ran that jobs ended with."
    durations = _by_task(observer.durations)
    yield _histogram("awaitd_job_duration_seconds", text, _TASK, durations)
    text = "How long attempts waited from when they might start to when they did."
    yield _histogram("awaitd_job_wait_seconds", text, _TASK, _by_task(observer.waits))


def _slots(figures: Figures) -> Iterator[Metric]:
    yield GaugeMetricFamily("awaitd_pending", "Jobs that wait.", figures.jobs[Status.PENDING])
    yield GaugeMetricFamily("awaitd_running", "Jobs that run.", figures.slots_taken)
    yield GaugeMetricFamily("awaitd_slots", "Jobs that may run at once.", figures.slots)
    yield GaugeMetricFamily("awaitd_workers", "Processes that run jobs.", figures.workers)
    if (oldest := figures.oldest_pending) is not None:
        text = "When the pending job that was submitted first was."
        yield GaugeMetricFamily("awaitd_oldest_pending_timestamp_seconds", text, oldest / 1000)


def _loop(figures: Figures) -> Iterator[Metric]:
    text = "What the event loop was last late by."
    yield GaugeMetricFamily("awaitd_loop_lag_seconds", text, figures.loop_lag)
    text = "How often the event loop was blocked for a second or more."
    yield CounterMetricFamily("awaitd_loop_blocked", text, figures.loop_blocked)
    text = "For how long the event loop was blocked, in all."
    yield CounterMetricFamily("awaitd_loop_blocked_seconds", text, figures.loop_blocked_seconds)


def _commits(figures: Figures) -> Iterator[Metric]:
    """Of the journal or the database, by this process."""
    text = "How long commits of this process took until they were durable."
    seconds = figures.commits.seconds
    yield _histogram("awaitd_commit_duration_seconds", text, (), [((), seconds)])
    text = "How many changes commits of this process held."
    yield _histogram("awaitd_commit_changes", text, (), [((), figures.commits.changes)])


def _webhooks(deliveries: DeliveryFigures) -> Iterator[Metric]:
    text = "Webhooks that are to be delivered, now or later."
    yield GaugeMetricFamily("awaitd_webhooks_pending", text, deliveries.pending)
    if (oldest := deliveries.oldest) is not None:
        text = "Since when the webhook has been pending that has waited longest."
        name = "awaitd_webhooks_oldest_pending_timestamp_seconds"
        yield GaugeMetricFamily(name, text, oldest / 1000)
    attempts = deliveries.attempts
    text = "Attempts of this process to deliver webhooks, by outcome."
    outcomes = attempts.outcomes
    yield _counters("awaitd_webhook_attempts", text, "outcome", outcomes)
    text = "How long attempts of this process to deliver webhooks took."
    yield _histogram("awaitd_webhook_attempt_duration_seconds", text, (), [((), attempts.seconds)])
    text = "Webhooks that this process gave up, after the last attempt or an answer of 410."
    yield _counters("awaitd_webhooks_given_up", text, "reason", attempts.given_up)
    text = "Webhooks that were removed with their jobs before they were delivered."
    yield CounterMetricFamily("awaitd_webhooks_lost", text, deliveries.lost)


def _counters(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, count in counts.items():
        family.add_metric((value,), count)
    return family


def _by_task(buckets: Mapping[str, Buckets]) -> Iterator[tuple[tuple[str], Buckets]]:
    return (((task,), of_task) for task, of_task in buckets.items())


def _histogram(
    name: str,
    text: str,
    labels: tuple[str, ...],
    buckets: Iterable[tuple[tuple[str, ...], Buckets]],
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, of_values in buckets:
        bounds = [*(f"{bound:g}" for bound in of_values.bounds), "+Inf"]
        counts = accumulate(of_values.counts)
        family.add_metric(values, list(zip(bounds, counts, strict=True)), of_values.sum)
    return family
