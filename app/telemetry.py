"""What operators are told: the log, and the metrics."""

import logging
import logging.config
from collections.abc import Iterator

from prometheus_client import Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.jobs.figures import Figures
from app.log_lines import LineFormatter, without_query


def configure_logging(*, exception_text: bool = True) -> None:
    """Log to standard error, one line for each event, uvicorn's included.

    Without `exception_text` what exceptions say stays out of it.
    """
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"without_query": {"()": lambda: without_query}},
            "formatters": {
                "line": {
                    "()": LineFormatter,
                    "fmt": "%(asctime)s %(levelname)-7s %(name)s: %(message)s",
                    "exception_text": exception_text,
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": "INFO", "handlers": ["stderr"]},
            "loggers": {
                "httpx": {"level": "WARNING"},
                # They warn at each attempt to reach a database; what needs it says so once.
                "psycopg": {"level": "ERROR"},
                "uvicorn.access": {"filters": ["without_query"]},
            },
        }
    )


def metrics_of(figures: Figures) -> bytes:
    """The figures in the text format of Prometheus."""
    return generate_latest(_Metrics(figures))


class _Metrics(Collector):
    """Made for one answer, so that nothing is counted twice and nothing is shared."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        jobs = GaugeMetricFamily("awaitd_jobs", "Jobs in the store.", labels=("task", "status"))
        for task, known in figures.tasks.items():
            for status, count in known.jobs.items():
                jobs.add_metric((task, status), count)
        yield jobs
        yield GaugeMetricFamily("awaitd_running", "Jobs that run.", figures.slots_taken)
        yield GaugeMetricFamily("awaitd_slots", "Jobs that may run at once.", figures.slots)
        if (oldest := figures.oldest_pending) is not None:
            text = "When the pending job that was submitted first was."
            yield GaugeMetricFamily("awaitd_oldest_pending_timestamp_seconds", text, oldest / 1000)
        text = "What the event loop was last late by."
        yield GaugeMetricFamily("awaitd_loop_lag_seconds", text, figures.loop_lag)
        text = "How often the event loop was blocked for a second or more."
        yield CounterMetricFamily("awaitd_loop_blocked", text, figures.loop_blocked)
        text = "For how long the event loop was blocked, in all."
        yield CounterMetricFamily("awaitd_loop_blocked_seconds", text, figures.loop_blocked_seconds)
