"""`awaitd demo`: jobs of every kind, to look at."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.cli.connect import connected
from app.cli.exits import EXIT_FAILED
from app.cli.options import JOBS, OutputOption, Url
from app.cli.output import Output, print_rows
from app.cli.root import cli, fail

if TYPE_CHECKING:
    from app.client import Awaitd

_CUSTOMERS: Final = ("anna", "bela", "chen")


@dataclass(frozen=True)
class _Kind:
    """A job to submit, and what there is to see."""

    what: str
    task: str
    params: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    is_cancelled: bool = False


_KINDS: Final = (
    _Kind("completes at once", "echo", {"value": {"greeting": "hello", "to": ["you", "me"]}}),
    _Kind("shows its progress", "count_primes", {"limit": 100_000_000}),
    _Kind("fails", "fail", {"message": "out of paper"}),
    _Kind("runs for 20 s", "sleep", {"seconds": 20}, {"priority": 5}),
    _Kind("is cancelled while it runs", "sleep", {"seconds": 600}, is_cancelled=True),
    _Kind("is due in a minute", "sleep", {"seconds": 1}, {"delay": 60}),
    _Kind("runs out of time", "sleep", {"seconds": 30}, {"timeout": 1}),
    _Kind("is cancelled before it starts", "sleep", {"seconds": 1}, {"delay": 3600}, True),
    _Kind("runs for 2 s", "sleep", {"seconds": 2}),
)


@cli.command(rich_help_panel=JOBS)
def demo(
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many jobs.")] = 18,
    output: OutputOption = Output.TABLE,
    url: Url = None,
) -> None:
    """Submit jobs of every kind, and list what there is to see of each.

    They have labels; some fail, wait, run out of time or are cancelled. Needs the tasks that ship.
    """
    with connected(url) as client:
        known = {task.name for task in client.tasks()}
        kinds = [kind for kind in _KINDS if kind.task in known]
        if not kinds:
            fail("this server has none of the tasks that ship with awaitd", EXIT_FAILED)
        rows = _submitted(client, kinds, count)
        print_rows(rows, ("id", "task", "what"), output)


def _submitted(client: "Awaitd", kinds: list[_Kind], count: int) -> Iterator[dict[str, Any]]:
    from app.client import Options

    for number in range(count):
        kind = kinds[number % len(kinds)]
        labels = {"demo": str(number + 1), "customer": _CUSTOMERS[number % len(_CUSTOMERS)]}
        job = client.submit(kind.task, Options(labels=labels, **kind.options), **kind.params)
        if kind.is_cancelled:
            job.cancel()
        yield {"id": str(job.id), "task": kind.task, "what": kind.what, "labels": labels}
