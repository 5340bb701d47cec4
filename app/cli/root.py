"""The command that all others hang on."""

from typing import Annotated, NoReturn

import typer

from app import __version__
from app.cli.exits import say

cli = typer.Typer(
    name="awaitd",
    help="An HTTP job runner for Python coroutines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@cli.callback(invoke_without_command=True)
def awaitd(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """An HTTP job runner for Python coroutines."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong, and end."""
    say(message)
    raise typer.Exit(code)
