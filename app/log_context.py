"""What is being done where a log line is written: for which job, for which request.

Found when a line is written, which is seldom, so that no job and no request pays for it.
"""

import asyncio
import re
from collections.abc import MutableMapping
from contextvars import ContextVar
from secrets import token_hex
from typing import Any, Final

from app.scheduler.origin import AS_THE_TASK, running_name

request_here: Final[ContextVar[MutableMapping[str, Any]]] = ContextVar("request_here")
"""The ASGI scope of the request that is being answered."""

_KEY: Final = "awaitd.request_id"
_HEADER: Final = b"x-request-id"
_SOUND: Final = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


def bound() -> dict[str, str]:
    """`job_id` and `task` in the code of a job, `request_id` in that of a request."""
    fields = _job_here()
    scope = request_here.get(None)
    if scope is not None:
        fields["request_id"] = request_id(scope)
    return fields


def request_id(scope: MutableMapping[str, Any]) -> str:
    """The `X-Request-ID` that a request came with, if it is fit for a log, else one of our own."""
    if _KEY not in scope:
        given = next((value for name, value in scope["headers"] if name == _HEADER), b"")
        scope[_KEY] = given.decode() if _SOUND.fullmatch(given) else token_hex(8)
    found = scope[_KEY]
    assert isinstance(found, str)
    return found


def _job_here() -> dict[str, str]:
    name = running_name.get(None)
    if name == AS_THE_TASK:
        try:
            task = asyncio.current_task()
        except RuntimeError:  # in a thread that a coroutine has handed work to
            task = None
        name = None if task is None else task.get_name()
    if not name:
        return {}
    task_name, _, job_id = name.rpartition(" ")
    return {"job_id": job_id, "task": task_name}
