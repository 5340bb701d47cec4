"""The arguments and options that several commands have."""

from typing import Annotated, TypeAlias

import typer

from app.cli.complete import complete_job
from app.cli.output import Output

JOBS = "Jobs"
"""The heading of commands about jobs in `awaitd --help`."""

Url: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="AWAITD_URL",
        help="Where the server is.",
        show_default="where AWAITD_HOST and AWAITD_PORT say",
    ),
]

JobId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="The id of a job.", autocompletion=complete_job)
]

OutputOption: TypeAlias = Annotated[
    Output,
    typer.Option("--output", "-o", help="For people, as one JSON text, or as one a line."),
]

Labels: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME=VALUE", help="A label; may be repeated."),
]

Params: TypeAlias = Annotated[
    str | None, typer.Option(metavar="JSON", help="Its params as one object; - reads stdin.")
]

Key: TypeAlias = Annotated[
    str | None, typer.Option(help="The idempotency key: the same one makes no second job.")
]

WebhookUrl: TypeAlias = Annotated[
    str | None, typer.Option("--webhook", metavar="URL", help="Who is told when it has ended.")
]

Wait: TypeAlias = Annotated[
    bool, typer.Option("--wait", help="Wait for the job, show its progress, print its result.")
]

Timeout: TypeAlias = Annotated[
    float | None,
    typer.Option(min=0, help="Seconds to wait at most; the job goes on after that."),
]


def pair_of(text: str, what: str) -> tuple[str, str]:
    """Name and value in NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{text!r} is no {what}, such as name=value")
    return name, value
