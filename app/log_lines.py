"""How the log is written, so that nobody can forge it: what is logged may come from anybody."""

import logging
from types import TracebackType
from typing import Final, TypeAlias

from app.jobs.texts import traceback_of
from app.visible import visible

_ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)

_INDENT: Final = "    "
_MAX_EXCEPTION: Final = 50_000
_DETAILS: Final = "\n%s"
"""How the message of a record ends that has details of several lines: a stack, a traceback."""

_SILENT: Final = ("/livez", "/readyz")


class LineFormatter(logging.Formatter):
    """One line for each record; what belongs to its exception follows, indented.

    Control characters, ends of lines, and characters that are invisible or turn the direction of
    writing come as escapes. Without `exception_text` an exception is its type and its frames.
    """

    def __init__(self, fmt: str | None = None, *, exception_text: bool = True) -> None:
        super().__init__(fmt)
        self._exception_text = exception_text

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The record's line."""
        if not self._exception_text and record.name == "asyncio":
            # Its further lines are objects as Python shows them, an exception's text included.
            record.message = record.message.partition("\n")[0]
        details = _details_of(record)
        line = visible(super().formatMessage(record))
        return line if details is None else f"{line}\n{_indented(details)}"

    def formatException(self, ei: _ExcInfo) -> str:
        """The lines of an exception, none of which can look like a record."""
        if self._exception_text:
            return _indented(super().formatException(ei))
        return "" if ei[1] is None else _indented(traceback_of(ei[1], messages=False))

    def formatStack(self, stack_info: str) -> str:
        """The lines of a stack, likewise."""
        return _indented(super().formatStack(stack_info))


def without_query(record: logging.LogRecord) -> bool:
    """A filter of uvicorn's access log: no query string, and nothing of health checks."""
    if isinstance(record.args, tuple) and len(record.args) == 5:
        client, method, path, version, status = record.args
        path = str(path).partition("?")[0]
        record.args = (client, method, path, version, status)
        return path not in _SILENT
    return True


def _details_of(record: logging.LogRecord) -> str | None:
    """Take from a record's message what belongs below its line, if it has such details."""
    if not (isinstance(record.args, tuple) and str(record.msg).endswith(_DETAILS)):
        return None
    details = str(record.args[-1])
    record.message = record.message[: -len(details) - 1]
    return details


def _indented(text: str) -> str:
    if len(text) > _MAX_EXCEPTION:
        half = _MAX_EXCEPTION // 2
        text = f"{text[:half]}\n…\n{text[-half:]}"
    return "\n".join(_INDENT + visible(line) for line in text.split("\n"))
