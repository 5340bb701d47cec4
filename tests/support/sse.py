"""Reading server-sent events as a browser does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Event:
    """One event; `id` is its own, not the last one's."""

    id: str | None
    kind: str | None
    data: Any


def events_of(response: httpx.Response) -> Iterator[Event]:
    """The events of a stream that is being read; comments are left out."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif set(fields) - {""}:
            data = json.loads(fields["data"]) if "data" in fields else None
            yield Event(fields.get("id"), fields.get("event"), data)
            fields = {}
