"""A client for a command, whose exceptions are messages and exit codes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from app.cli.exits import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE, say
from app.cli.root import fail
from app.cli.server import is_url, server_url
from app.fetch import Unreachable, get

if TYPE_CHECKING:
    from app.client import Awaitd, AwaitdError, JobHandle

_TIMEOUT: Final = 2.5
"""Seconds for a request that somebody waits for."""

_PATIENT: Final = 60.0
"""Seconds for one that waits for a job, in which a server may be started again."""


@contextmanager
def connected(url: str | None, *, patient: bool = False) -> Iterator["Awaitd"]:
    """A client of a server that is there; ends the command for all that goes wrong."""
    url = server_url(url)
    if not is_url(url):
        fail(f"{url!r} is no URL of a server, such as http://127.0.0.1:8000", EXIT_USAGE)
    try:
        get(url, "/livez")  # within 2 s, however it is that nobody answers
    except Unreachable as error:
        fail(str(error), EXIT_UNREACHABLE)
    # Here, so that the help and a server that is not there need not wait for it.
    from app.client import Awaitd, AwaitdError

    _tell_of_retries()
    try:
        with Awaitd(url, timeout=_PATIENT if patient else _TIMEOUT) as client:
            yield client
    except AwaitdError as error:
        fail(str(error), _exit_of(error))
    except ValueError as error:
        fail(str(error), EXIT_USAGE)


def job_in(client: "Awaitd", job_id: str) -> "JobHandle":
    """The handle of a job."""
    try:
        return client.job(job_id)
    except ValueError:
        fail(f"there is no job {job_id}: that is no id of a job", EXIT_FAILED)


def _exit_of(error: "AwaitdError") -> int:
    from app.client import (
        InvalidParameter,
        InvalidParams,
        KeyReused,
        NotAwaitd,
        PayloadTooLarge,
        UnknownTask,
        Untrusted,
    )
    from app.client import Unreachable as Unanswered

    match error:
        case Unanswered() | NotAwaitd() | Untrusted():
            return EXIT_UNREACHABLE
        case UnknownTask() | InvalidParams() | InvalidParameter() | PayloadTooLarge() | KeyReused():
            return EXIT_USAGE
        case _:
            return EXIT_FAILED


def _tell_of_retries() -> None:
    """Say why it takes longer, once for each request."""
    from stamina.instrumentation import RetryDetails, set_on_retry_hooks

    def tell(details: RetryDetails) -> Any:
        if details.retry_num == 1 and threading.current_thread() is threading.main_thread():
            say(f"{details.caused_by}; trying again")

    set_on_retry_hooks([tell])
