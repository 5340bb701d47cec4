"""What operators are told: the log."""

import logging
import logging.config


def configure_logging() -> None:
    """Log to standard error, one line for each event, uvicorn's included."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": "INFO", "handlers": ["stderr"]},
            "loggers": {"httpx": {"level": "WARNING"}},
        }
    )
