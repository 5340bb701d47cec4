"""The log."""

import logging
import logging.config

import structlog

from app.log_lines import JsonFormatter, LineFormatter, to_record, without_query
from app.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Log to standard error, one line for each event, uvicorn's included.

    What tasks write with structlog goes the same way, unless they have set it up themselves.
    """
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.stdlib.PositionalArgumentsFormatter(),
                to_record,
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
        )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"without_query": {"()": lambda: without_query}},
            "formatters": {
                "console": {
                    "()": LineFormatter,
                    "fmt": "%(asctime)s %(levelname)-7s %(name)s: %(message)s",
                    "exception_text": settings.exception_text,
                },
                "json": {"()": JsonFormatter, "exception_text": settings.exception_text},
            },
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": settings.log_format}
            },
            "root": {"level": "INFO", "handlers": ["stderr"]},
            "loggers": {
                "httpx": {"level": "WARNING"},
                # They warn at each attempt to reach a database; what needs it says so once.
                "psycopg": {"level": "ERROR"},
                "uvicorn.access": {"filters": ["without_query"]},
            },
        }
    )
