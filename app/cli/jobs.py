"""The commands that list, show and cancel what there is."""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.cli.complete import complete_status, complete_task
from app.cli.connect import connected, job_in
from app.cli.exits import EXIT_FAILED, say
from app.cli.options import JOBS, JobId, Labels, OutputOption, Url, pair_of
from app.cli.output import Output, print_json, print_members, print_rows
from app.cli.root import cli, fail

if TYPE_CHECKING:
    from app.client import JobHandle, LogLine

_MOST: Final = 500
"""Jobs that the server lists at once."""

_LONGEST: Final = 1_000_000_000
"""Jobs that can be asked for: more than there are, and a number that every part can count to."""

_LINES_KEPT: Final = 200
"""Log lines that the server keeps of a job."""


@cli.command(rich_help_panel=JOBS)
def ls(
    status: Annotated[
        list[str] | None, typer.Option(help="May be repeated.", autocompletion=complete_status)
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="May be repeated.", autocompletion=complete_task)
    ] = None,
    label: Labels = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=_LONGEST, help="How many at most.")
    ] = 50,
    output: OutputOption = Output.TABLE,
    url: Url = None,
) -> None:
    """List jobs, newest first."""
    labels = dict(pair_of(text, "label") for text in label or ())
    with connected(url) as client:
        from app.client import Filters

        filters = Filters(status=status or (), task=task or (), labels=labels)
        jobs = client.jobs(filters, page_size=min(limit, _MOST))
        rows = (job.document for job in islice(jobs, limit))
        columns = ("id", "task", "status", "created_at", "finished_at", "labels")
        print_rows(rows, columns, output)


@cli.command(rich_help_panel=JOBS)
def show(job_id: JobId, output: OutputOption = Output.TABLE, url: Url = None) -> None:
    """Show all that is known of a job."""
    with connected(url) as client:
        print_members(job_in(client, job_id).details().document, output)


@cli.command(rich_help_panel=JOBS)
def logs(
    job_id: JobId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")
    ] = False,
    output: OutputOption = Output.TABLE,
    url: Url = None,
) -> None:
    """Print what a job wrote: time, attempt and message of each line."""
    if follow and output is Output.JSON:
        raise typer.BadParameter("what goes on for ever is no JSON text: --output jsonl is")
    with connected(url, patient=follow) as client:
        job = job_in(client, job_id)
        if follow:
            for line in lines_of(job):
                print_rows([_row_of(line)], _LINE, output, heading=False)
        else:
            print_rows(map(_row_of, job.logs()), _LINE, output, heading=False)


@cli.command(rich_help_panel=JOBS)
def result(job_id: JobId, url: Url = None) -> None:
    """Print the result of a job as JSON; exit 1 if it has none, or none yet."""
    with connected(url) as client:
        from app.client import JobFailed, Status, TaskNotFinished

        job = job_in(client, job_id)
        try:
            value = job.get_result()
        except JobFailed as error:
            fail(f"the job failed: {error}", EXIT_FAILED)
        except TaskNotFinished as error:
            fail(f"the job is {error.status}: it has no result yet", EXIT_FAILED)
        if value is None and job.status() is Status.CANCELLED:
            fail("the job was cancelled: it has no result", EXIT_FAILED)
        print_json(value)


@cli.command(rich_help_panel=JOBS)
def cancel(job_id: JobId, url: Url = None) -> None:
    """Ask a job to stop; the answer comes at once, the job may take its time to clean up."""
    with connected(url) as client:
        job = job_in(client, job_id)
        asked, status = job.cancel(), job.status()
        before = "" if asked else " already"
        say(f"the job is {status}{before}" if status.finished else f"the job is stopping{before}")


@cli.command(rich_help_panel=JOBS)
def redeliver(job_id: JobId, url: Url = None) -> None:
    """Have the end of a job told to its webhook once more; exit 1 if there is nothing to tell."""
    with connected(url) as client:
        from app.client import NoDelivery

        try:
            delivery = job_in(client, job_id).redeliver()
        except NoDelivery as error:
            fail(str(error), EXIT_FAILED)
        say(f"it is told again, with the webhook-id {delivery.id}")


@cli.command(rich_help_panel=JOBS)
def tasks(output: OutputOption = Output.TABLE, url: Url = None) -> None:
    """List what can be run."""
    with connected(url) as client:
        rows = [task.document for task in client.tasks()]
        print_rows(rows, ("name", "timeout", "max_attempts", "summary"), output)


_LINE: Final = ("time", "attempt", "message")


def lines_of(job: "JobHandle") -> Iterator["LogLine"]:
    """Each line once: those that there are, then those that come, to the end of the job."""
    told: deque[LogLine] = deque(maxlen=_LINES_KEPT)

    def untold(lines: Iterable["LogLine"]) -> Iterator["LogLine"]:
        seen: deque[LogLine] = deque(maxlen=_LINES_KEPT)
        for line in lines:
            seen.append(line)
            if seen.count(line) > told.count(line):
                told.append(line)
                yield line

    yield from untold(job.logs())
    yield from untold(event.line for event in job.events() if event.line is not None)
    # The stream of a job that has ended, or starts again, does not tell what was written before.
    yield from untold(job.logs())


def _row_of(line: "LogLine") -> dict[str, Any]:
    return {"time": _time(line.time), "message": line.message, "attempt": line.attempt}


def _time(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
