"""How the log is written, so that nobody can forge it: what is logged may come from anybody."""

import json
import logging
from collections import deque
from collections.abc import ItemsView, KeysView, Mapping, MutableMapping, ValuesView
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Final, TypeAlias

from structlog.processors import JSONRenderer
from structlog.stdlib import ExtraAdder, ProcessorFormatter

from app.jobs.texts import class_name, message_of, traceback_of
from app.log_context import bound
from app.visible import visible

_ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)

_LOG: Final = logging.getLogger(__name__)
"""Of nobody: structlog wants one."""

_INDENT: Final = "    "
_MAX_EXCEPTION: Final = 50_000
_MAX_DEPTH: Final = 8
_HOLDERS: Final = (
    *(dict, MappingProxyType, list, tuple, set, frozenset, deque),
    *(KeysView, ValuesView, ItemsView),
)
"""What exceptions are looked for in; of anything else nobody knows what a look would do."""

_DETAILS: Final = "\n%s"
"""How the message of a record ends that has details of several lines: a stack, a traceback."""

_OF_NO_INTEREST: Final = ("_record", "color_message", "message", "asctime", "taskName")

_FIELDS: Final = "awaitd_fields"
"""Where a record has the values given to structlog: among its own, some names are taken."""

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
        record.message, details = _message_of(record, self._exception_text)
        line = visible(super().formatMessage(record))
        fields = _fields_of(record, self._exception_text)
        if "job_id" in fields and str(fields["job_id"]) in line:
            del fields["job_id"]
            fields.pop("task", None)
        line += visible("".join(f" {name}={message_of(value)}" for name, value in fields.items()))
        return line if details is None else f"{line}\n{_indented(details)}"

    def formatException(self, ei: _ExcInfo) -> str:
        """The lines of an exception, none of which can look like a record."""
        if self._exception_text:
            return _indented(super().formatException(ei))
        return "" if ei[1] is None else _indented(traceback_of(ei[1], messages=False))

    def formatStack(self, stack_info: str) -> str:
        """The lines of a stack, likewise."""
        return _indented(super().formatStack(stack_info))


class JsonFormatter(ProcessorFormatter):
    """One JSON object for each record, in ASCII: nothing in it can look like another one.

    Without `exception_text` an exception is its type and its frames.
    """

    def __init__(self, *, exception_text: bool = True) -> None:
        self._exception_text = exception_text
        super().__init__(processors=[self.remove_processors_meta, JSONRenderer(_encoded)])

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        event, details = _message_of(record, self._exception_text)
        if record.exc_info and record.exc_info[1] is not None:
            details = traceback_of(record.exc_info[1], messages=self._exception_text)
        own = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
        }
        fields = {**_fields_of(record, self._exception_text), **_access_of(record)}
        entry = own | {f"{n}_" if n in own else n: value for n, value in fields.items()}
        if details is not None:
            entry["exception"] = _cut(details)
        if record.stack_info:
            entry["stack"] = _cut(record.stack_info)
        made = {"msg": entry, "_logger": None, "_name": record.levelname.lower()}
        return super().format(logging.makeLogRecord(made))


def to_record(_: object, __: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """The last processor of structlog: what a record of the standard library is made of."""
    settings = ("exc_info", "stack_info", "stacklevel")
    made = {name: event.pop(name) for name in settings if name in event}
    return {**made, "msg": event.pop("event", ""), "extra": {_FIELDS: dict(event)}}


def without_query(record: logging.LogRecord) -> bool:
    """A filter of uvicorn's access log: no query string, and nothing of health checks."""
    if isinstance(record.args, tuple) and len(record.args) == 5:
        client, method, path, version, status = record.args
        path = str(path).partition("?")[0]
        record.args = (client, method, path, version, status)
        return path not in _SILENT
    return True


def _message_of(record: logging.LogRecord, exception_text: bool) -> tuple[str, str | None]:
    """A record's message, and apart from it what belongs below its line, if it has such details."""
    if not exception_text:
        record = logging.makeLogRecord(vars(record) | {"args": _with_types(record.args)})
    message = record.getMessage()
    if not exception_text and record.name == "asyncio":
        # Its further lines are objects as Python shows them, an exception's text included.
        message = message.partition("\n")[0]
    if not (isinstance(record.args, tuple) and str(record.msg).endswith(_DETAILS)):
        return message, None
    details = str(record.args[-1])
    return message[: -len(details) - 1], details


def _with_types(args: Any) -> Any:
    """What is put into a message, with the types of exceptions in their places."""
    if isinstance(args, tuple):
        return tuple(class_name(arg) if isinstance(arg, BaseException) else arg for arg in args)
    return class_name(args) if isinstance(args, BaseException) else args


def _fields_of(record: logging.LogRecord, exception_text: bool) -> dict[str, Any]:
    """What the line is bound to, and what whoever wrote it has added as `extra`."""
    fields = dict(ExtraAdder()(_LOG, "", {"_record": record}))
    given = fields.pop(_FIELDS, {})
    for name in _OF_NO_INTEREST:
        fields.pop(name, None)
    fields = {**bound(), **fields, **given}
    return fields if exception_text else {name: _reduced(each) for name, each in fields.items()}


def _reduced(value: Any, within: tuple[int, ...] = ()) -> Any:
    """A value with the types of exceptions in their places; `within` are the ids of what it is in.

    What is within itself is not followed: a circle of many would take for ever.
    """
    inside = (*within, id(value))
    if isinstance(value, BaseException):
        return class_name(value)
    if not isinstance(value, _HOLDERS):
        return value
    if id(value) in within or len(within) == _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {_with_types(name): _reduced(each, inside) for name, each in value.items()}
    return [_reduced(each, inside) for each in value]


def _encoded(entry: dict[str, Any], **_: object) -> str:
    """A line as JSON: values that are none, such as NaN, circles and odd keys, as text."""
    try:
        return json.dumps(entry, allow_nan=False, default=str)
    except Exception:  # whatever a value's own `__str__` raises
        return json.dumps({name: message_of(value) for name, value in entry.items()})


def _access_of(record: logging.LogRecord) -> dict[str, Any]:
    """The parts of a line of uvicorn's access log."""
    if record.name != "uvicorn.access" or not isinstance(record.args, tuple):
        return {}
    client, method, path, _, status = record.args
    return {"client": client, "method": method, "path": path, "status": status}


def _indented(text: str) -> str:
    return "\n".join(_INDENT + visible(line) for line in _cut(text).split("\n"))


def _cut(text: str) -> str:
    if len(text) > _MAX_EXCEPTION:
        half = _MAX_EXCEPTION // 2
        text = f"{text[:half]}\n…\n{text[-half:]}"
    return text
