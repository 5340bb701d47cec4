"""The commands of a server: run it, ask it, copy what it keeps."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from app.cli.exits import EXIT_FAILED, EXIT_UNREACHABLE, EXIT_USAGE
from app.cli.health import check_health
from app.cli.options import Url
from app.cli.root import cli, fail
from app.cli.server import authorization, server_url
from app.fetch import Incomplete, Refused, Unreachable, fetch_backup, require_new

_NO_DATABASE: Final = (
    "--worker is for a database, which AWAITD_DATABASE_URL names: without one awaitd serve runs "
    "its jobs anyway"
)


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
        if worker and settings.database_url is None:
            fail(_NO_DATABASE, EXIT_USAGE)
        from app.main import create_app, store_of
        from app.serving import serve_app
        from app.telemetry import configure_logging

        configure_logging(settings)
        app = create_app(settings, works=worker)
        serve_app(app, app.front, settings, store_of(settings))


@cli.command()
def worker() -> None:
    """Run jobs of the database that AWAITD_DATABASE_URL names, without a server."""
    with _start_up_errors():
        from app.settings import load_settings

        settings = load_settings()
        if settings.database_url is None:
            fail("a worker needs AWAITD_DATABASE_URL", EXIT_USAGE)
        from app.working import run_worker

        run_worker(settings)


@cli.command()
def migrate() -> None:
    """Bring the schema of the database up to date that AWAITD_DATABASE_URL names."""
    with _start_up_errors():
        from app.settings import load_settings

        settings = load_settings()
        if settings.database_url is None:
            fail("there is nothing to migrate without AWAITD_DATABASE_URL", EXIT_USAGE)
        from app.working import migrate_database

        applied = migrate_database(settings)
        for name in applied:
            typer.echo(f"awaitd: applied {name}", err=True)
        if not applied:
            typer.echo("awaitd: the schema is up to date", err=True)


@cli.command()
def health(url: Url = None) -> None:
    """Ask the server whether it accepts work: exit 0 if it is ready, 1 if not, 5 if not there."""
    raise typer.Exit(check_health(url))


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
        size = fetch_backup(server_url(url), file, authorization())
    except Unreachable as error:
        fail(str(error), EXIT_UNREACHABLE)
    except ValueError:  # whose text has the key
        fail("AWAITD_API_KEY cannot be sent: it is no key, or has more around it", EXIT_USAGE)
    except (Refused, Incomplete, OSError) as error:
        fail(f"no backup: {error}", EXIT_FAILED)
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
        fail(str(error), EXIT_USAGE)
    except (StartUpError, BadKeys) as error:
        fail(str(error), EXIT_FAILED)


def _require_place(file: Path) -> None:
    """End for a FILE that cannot be written because of what it names."""
    try:
        require_new(file)
    except FileExistsError as error:
        fail(str(error), EXIT_USAGE)
    if not file.parent.is_dir():
        fail(f"there is no directory {file.parent}", EXIT_USAGE)
