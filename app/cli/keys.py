"""`awaitd keys`: make, list and remove API keys, in their file and without the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from app.cli.exits import EXIT_FAILED, EXIT_USAGE
from app.cli.options import OutputOption
from app.cli.output import Output, print_rows
from app.cli.root import cli, fail
from app.keys import DEFAULT_SCOPES, ApiKey, BadKeys, InvalidKey, KeyFile

keys = typer.Typer(name="keys", help="Make, list and remove API keys.", no_args_is_help=True)
cli.add_typer(keys)


@keys.command()
def add(
    name: Annotated[str, typer.Argument(help="The owner: whose the jobs of this key are.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="submit, submit:TASK, read, cancel or admin; may be repeated.",
            show_default=", ".join(DEFAULT_SCOPES),
        ),
    ] = None,
    expires: Annotated[float | None, typer.Option(help="Days until it expires.")] = None,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    with _errors():
        typer.echo(_file().add(name, scope or DEFAULT_SCOPES, expires))


@keys.command("ls")
def list_keys(output: OutputOption = Output.TABLE) -> None:
    """List the keys there are, without what is secret of them."""
    with _errors():
        rows = [_members(key) for key in _file().read()]
    if output is Output.TABLE:
        rows = [row | {"expires_at": row["expires_at"] or "never"} for row in rows]
    columns = ("id", "owner", "scopes", "created_at", "expires_at")
    print_rows(rows, columns, output)


@keys.command()
def rm(
    which: Annotated[str, typer.Argument(help="The id of a key, or an owner to remove all of.")],
) -> None:
    """Remove a key, or all of an owner: from the next request on nobody gets in with it."""
    with _errors():
        for key in _file().remove(which):
            typer.echo(f"removed key {key.id} of {key.owner}", err=True)


def _file() -> KeyFile:
    from app.settings import load_settings  # here, so that `awaitd health` need not wait for it

    return KeyFile(load_settings().data_dir)


def _members(key: ApiKey) -> dict[str, Any]:
    members = asdict(key) | {
        "created_at": _time(key.created_at),
        "expires_at": None if key.expires_at is None else _time(key.expires_at),
    }
    del members["sha256"]
    return members


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@contextmanager
def _errors() -> Iterator[None]:
    from app.settings import BadSettings

    try:
        yield
    except (BadSettings, InvalidKey) as error:
        fail(str(error), EXIT_USAGE)
    except BadKeys as error:
        fail(str(error), EXIT_FAILED)
