"""Server-sent events: from bytes to events, and where a stream goes on after it was cut off."""

import json
from collections import deque
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from app.client import steps
from app.client.errors import NotAwaitd
from app.client.options import Filters
from app.client.records import JobEvent, LogLine, event_of
from app.client.wire import Request, Steps, job_path, target

PAUSE: Final = 0.25
"""Seconds between the loss of a stream and its resumption."""

_LINES_KEPT: Final = 200
"""Log lines that the service keeps of a job."""


class EventParser:
    """Takes the bytes of a stream as they come; `last_id` is the last `id:` that has come whole."""

    def __init__(self) -> None:
        self.last_id: str | None = None
        self._rest = b""
        self._id: str | None
        self._kind: str
        self._data: list[str]
        self._begin()

    def feed(self, chunk: bytes) -> Iterator[tuple[str, Any]]:
        """The kind and the data of each event that is complete now."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line.rstrip(b"\r"):
                self._field(line.rstrip(b"\r").decode())
                continue
            event = self._event()
            if event is not None:
                yield event

    def cut(self) -> None:
        """Forget what has come in part."""
        self._rest = b""
        self._begin()

    def _begin(self) -> None:
        self._id, self._kind, self._data = None, "", []

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self._id = value
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)

    def _event(self) -> tuple[str, Any] | None:
        kind, data = self._kind, "\n".join(self._data)
        if self._id is not None:
            self.last_id = self._id
        self._begin()
        try:
            return (kind, json.loads(data)) if data else None
        except ValueError as error:
            raise NotAwaitd("its events are none of awaitd's") from error


class AllJobs:
    """The stream of all jobs that fit: it never ends by itself."""

    def __init__(self, filters: Filters) -> None:
        self._target = target("/events", filters.query())
        self._parser = EventParser()
        self.ended = False

    def request(self) -> Request:
        """What opens it, where it was cut off."""
        return _stream_request(self._target, self._parser)

    def catch_up(self) -> Steps[list[JobEvent]]:
        """What the service does not tell again: of all jobs, that is left out."""
        yield from ()
        return []

    def feed(self, chunk: bytes) -> Iterator[JobEvent]:
        """The events that these bytes complete."""
        for kind, data in self._parser.feed(chunk):
            yield _event(kind, data)


class OneJob:
    """The stream of one job: it has `ended` with `done`.

    A resumed stream does not tell again what the coroutine wrote meanwhile, so its log is read.
    """

    def __init__(self, job_id: UUID) -> None:
        self._job_id = job_id
        self._parser = EventParser()
        self._opened = False
        self._written: deque[LogLine] = deque(maxlen=_LINES_KEPT)
        self._ahead: set[LogLine] = set()
        self.ended = False

    def request(self) -> Request:
        """What opens it, where it was cut off."""
        return _stream_request(f"{job_path(self._job_id)}/events", self._parser)

    def catch_up(self) -> Steps[list[JobEvent]]:
        """The lines that were written while it was cut off; asked for once it is open again."""
        if not self._opened:
            self._opened = True
            return []
        lines = yield from steps.logs(self._job_id)
        missed = [line for line in lines if line not in self._written]
        self._ahead = set(missed)
        self._written.extend(missed)
        return [JobEvent(kind="log", job_id=self._job_id, line=line) for line in missed]

    def feed(self, chunk: bytes) -> Iterator[JobEvent]:
        """The events that these bytes complete."""
        for kind, data in self._parser.feed(chunk):
            event = _event(kind, data)
            if event.line is not None:
                if event.line in self._ahead:
                    self._ahead.discard(event.line)
                    continue
                self._written.append(event.line)
            self.ended = self.ended or kind == "done"
            yield event


def _stream_request(where: str, parser: EventParser) -> Request:
    headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
    parser.cut()
    if parser.last_id is not None:
        headers["Last-Event-ID"] = parser.last_id
    return Request("GET", where, headers)


def _event(kind: str, data: Any) -> JobEvent:
    try:
        return event_of(kind, data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAwaitd("its events are none of awaitd's") from error
