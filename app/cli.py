"""The command line."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, NoReturn, TypeAlias

import typer

from app import __version__
from app.fetch import Incomplete, Refused, Unreachable, fetch_backup, get, require_new
from app.key_commands import keys

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 5

_WILDCARDS: Final = frozenset({"", "0.0.0.0", "::"})

Url: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="AWAITD_URL",
        help="Where the server is.",
        show_default="where AWAITD_HOST and AWAITD_PORT say",
    ),
]

cli = typer.Typer(
    name="awaitd",
    help="An HTTP job runner for Python coroutines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    cli(prog_name="awaitd")


cli.add_typer(keys)


@cli.callback(invoke_without_command=True)
def awaitd(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """An HTTP job runner for Python coroutines."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@cli.command()
def serve(
    worker: Annotated[
        bool, typer.Option("--worker", help="With a database: run jobs here, too.")
    ] = False,
) -> None:
    """Run the server. Its settings are read from the environment: the README lists them."""
    with _start_up_errors():
        # Each import where it is needed: `awaitd health` and a wrong setting need not wait for all.
        from app.settings import load_settings

        settings = load_settings()
        from app.main import create_app
        from app.serving import serve_app

        serve_app(create_app(settings, works=worker), settings)


@cli.command()
def worker() -> None:
    """Run jobs of the database that AWAITD_DATABASE_URL names, without a server."""
    with _start_up_errors():
        from app.settings import load_settings

        settings = load_settings()
        if settings.database_url is None:
            _fail("a worker needs AWAITD_DATABASE_URL", EXIT_USAGE)
        from app.working import run_worker

        run_worker(settings)


@cli.command()
def migrate() -> None:
    """Bring the schema of the database up to date that AWAITD_DATABASE_URL names."""
    with _start_up_errors():
        from app.settings import load_settings

        settings = load_settings()
        if settings.database_url is None:
            _fail("there is nothing to migrate without AWAITD_DATABASE_URL", EXIT_USAGE)
        from app.working import migrate_database

        for name in migrate_database(settings) or ["nothing: it is up to date"]:
            typer.echo(f"awaitd: applied {name}", err=True)


@cli.command()
def health(url: Url = None) -> None:
    """Ask the server whether it accepts work: exit 0 if it is ready, 1 if not, 5 if not there."""
    try:
        status, body = get(url or _local_url(), "/readyz")
    except Unreachable as error:
        _fail(str(error), EXIT_UNREACHABLE)
    if status != 200:
        _fail(f"not ready: {_reason_in(body) or f'it answered {status}'}", EXIT_FAILED)
    typer.echo("ready")


@cli.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A file that is not there yet.", metavar="FILE")],
    url: Url = None,
) -> None:
    """Have the server copy its jobs into FILE, while it goes on: whole, or not at all.

    Exit 0 if FILE is there, 1 if that failed, 2 for wrong use, 5 if the server cannot be reached.

    To restore it: stop the server, remove journal.sqlite3-wal and journal.sqlite3-shm from its
    data directory, put FILE in place of journal.sqlite3, and start again.
    """
    try:
        _require_place(file)
        size = fetch_backup(url or _local_url(), file, _authorization())
    except Unreachable as error:
        _fail(str(error), EXIT_UNREACHABLE)
    except ValueError:  # whose text has the key
        _fail("AWAITD_API_KEY cannot be sent: it is no key, or has more around it", EXIT_USAGE)
    except (Refused, Incomplete, OSError) as error:
        _fail(f"no backup: {error}", EXIT_FAILED)
    typer.echo(f"awaitd: {file} has {size} bytes", err=True)


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document of the service with its tasks."""
    with _start_up_errors():
        from app.main import create_app

        typer.echo(json.dumps(create_app().openapi(), indent=2, ensure_ascii=False))


@contextmanager
def _start_up_errors() -> Iterator[None]:
    """What is wrong is one message, and the exit code says whether it is a setting."""
    from app.jobs.errors import StartUpError
    from app.keys import BadKeys
    from app.settings import BadSettings

    try:
        yield
    except BadSettings as error:
        _fail(str(error), EXIT_USAGE)
    except (StartUpError, BadKeys) as error:
        _fail(str(error), EXIT_FAILED)


def _local_url() -> str:
    """Where `awaitd serve` with this environment listens on this machine."""
    host = os.environ.get("AWAITD_HOST", "").strip("[]")
    if host in _WILDCARDS:
        host = "127.0.0.1"
    port = os.environ.get("AWAITD_PORT") or "8000"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _authorization() -> dict[str, str]:
    key = os.environ.get("AWAITD_API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _require_place(file: Path) -> None:
    """End for a FILE that cannot be written because of what it names."""
    try:
        require_new(file)
    except FileExistsError as error:
        _fail(str(error), EXIT_USAGE)
    if not file.parent.is_dir():
        _fail(f"there is no directory {file.parent}", EXIT_USAGE)


def _reason_in(body: bytes) -> str | None:
    try:
        return str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        return None


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"awaitd: {message}", err=True)
    raise typer.Exit(code)
