"""The log."""

import logging
import logging.config

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
