"""`awaitd run` and `awaitd again`: submit a job, and wait for it if asked to."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.cli.bar import progress_of
from app.cli.complete import complete_task
from app.cli.connect import connected, job_in
from app.cli.exits import EXIT_CANCELLED, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_WAITED, say
from app.cli.options import (
    JOBS,
    JobId,
    Key,
    Labels,
    Params,
    Timeout,
    Url,
    Wait,
    WebhookUrl,
    pair_of,
)
from app.cli.output import print_json
from app.cli.root import cli, fail

if TYPE_CHECKING:
    from app.client import Awaitd, JobHandle

_MOST_DIGITS: Final = 30
"""Far more than 64 bits have, and few enough to be shown."""


@cli.command(rich_help_panel=JOBS)
def run(  # noqa: PLR0913 - each is an argument or option of the command
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="Its name.", autocompletion=complete_task)
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Its params; a value is JSON if it can be read as JSON, else text.",
        ),
    ] = None,
    params: Params = None,
    wait: Wait = False,
    timeout: Timeout = None,
    priority: Annotated[int | None, typer.Option(help="Higher first.")] = None,
    delay: Annotated[float | None, typer.Option(min=0, help="Seconds until it is due.")] = None,
    label: Labels = None,
    key: Key = None,
    webhook: WebhookUrl = None,
    url: Url = None,
) -> None:
    """Submit a job and print its id; with --wait, its result as JSON once it has ended.

    Exit 0: it was submitted, or has completed; 1: it failed; 3: it was cancelled;
    4: it has not ended within --timeout; 2: wrong use, an unknown task or wrong params.
    """
    _require_wait(wait, timeout)
    given = _object_in(params) | _params_in(values or [])
    labels = _once([pair_of(text, "label") for text in label or ()])
    with connected(url, patient=wait) as client:
        from app.client import Options, Webhook

        options = Options(
            priority=priority,
            delay=delay,
            labels=labels,
            webhook=None if webhook is None else Webhook(webhook),
            idempotency_key=key,
        )
        _submitted(client, client.submit(task, options, **given), wait, timeout)


@cli.command(rich_help_panel=JOBS)
def again(job_id: JobId, wait: Wait = False, timeout: Timeout = None, url: Url = None) -> None:
    """Submit a copy of a job, as `run` does."""
    _require_wait(wait, timeout)
    with connected(url, patient=wait) as client:
        _submitted(client, job_in(client, job_id).again(), wait, timeout)


def _submitted(client: "Awaitd", job: "JobHandle", wait: bool, timeout: float | None) -> None:
    if not wait:
        typer.echo(job.id)
        return
    try:
        say(f"job {job.id}")
        _wait(client, job, timeout)
    except KeyboardInterrupt:
        fail(f"the job goes on; to cancel it: awaitd cancel {job.id}", EXIT_INTERRUPTED)
    except TimeoutError:
        text = f"the job has not ended within {timeout:g} s and goes on"
        fail(f"{text}; its result: awaitd result {job.id}", EXIT_WAITED)


def _wait(client: "Awaitd", job: "JobHandle", timeout: float | None) -> None:
    from app.client import JobFailed, Status

    try:
        with progress_of(job, client.url):
            value = job.wait(timeout)
    except JobFailed as error:
        fail(f"the job failed: {error}", EXIT_FAILED)
    is_cancelled = job.status() is Status.CANCELLED
    if value is not None or not is_cancelled:
        print_json(value)
    if is_cancelled:
        fail("the job was cancelled", EXIT_CANCELLED)


def _require_wait(wait: bool, timeout: float | None) -> None:
    if timeout is not None and not wait:
        raise typer.BadParameter("--timeout limits the waiting: give --wait as well")


def _params_in(values: list[str]) -> dict[str, Any]:
    return _once([_param_in(text) for text in values])


def _param_in(text: str) -> tuple[str, Any]:
    name, value = pair_of(text, "param")
    try:
        return name, _json_in(value)
    except json.JSONDecodeError:
        return name, value


def _object_in(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value = _json_in(_read_stdin() if text == "-" else text)
    except ValueError as error:
        raise typer.BadParameter(f"--params is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise typer.BadParameter("--params is no object, such as {}")
    return value


def _read_stdin() -> str:
    if sys.stdin is None:
        raise typer.BadParameter("--params - reads stdin, which is closed")
    return sys.stdin.read()


def _json_in(text: str) -> Any:
    """A JSON value; raises `JSONDecodeError` for what is none, and refuses what cannot be sent."""
    try:
        return json.loads(
            text, parse_constant=_no_constant, parse_int=_integer, object_pairs_hook=_once
        )
    except RecursionError as error:
        raise typer.BadParameter("the JSON is nested too deeply") from error


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members by name; the service takes no name twice."""
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise typer.BadParameter(f"{twice!r} is given twice")
    return found


def _integer(text: str) -> int:
    if len(text) <= _MOST_DIGITS and -(1 << 63) <= (value := int(text)) < 1 << 64:
        return value
    shown = text if len(text) <= _MOST_DIGITS else f"a number of {len(text)} digits"
    raise typer.BadParameter(f"{shown} does not fit into 64 bits: give it in quotes, as text")


def _no_constant(text: str) -> None:
    raise json.JSONDecodeError(f"{text} is no JSON", text, 0)
