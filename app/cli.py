"""The command line."""

import http.client
import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Final, NoReturn
from urllib.parse import urlsplit

import typer

from app import __version__

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 5

HEALTH_TIMEOUT: Final = 2.0

_WILDCARDS: Final = frozenset({"", "0.0.0.0", "::"})

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


@cli.callback(invoke_without_command=True)
def awaitd(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """An HTTP job runner for Python coroutines."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@cli.command()
def serve() -> None:
    """Run the server. Its settings are read from the environment: the README lists them."""
    with _start_up_errors():
        # Each import where it is needed: `awaitd health` and a wrong setting need not wait for all.
        from app.settings import load_settings

        settings = load_settings()
        from app.main import create_app
        from app.serving import serve_app

        serve_app(create_app(settings), settings)


@cli.command()
def health(
    url: Annotated[
        str | None,
        typer.Option(
            envvar="AWAITD_URL",
            help="Where the server is.",
            show_default="where AWAITD_HOST and AWAITD_PORT say",
        ),
    ] = None,
) -> None:
    """Ask the server whether it accepts work: exit 0 if it is ready, 1 if not, 5 if not there."""
    url = url or _local_url()
    try:
        status, body = _get(f"{url.rstrip('/')}/readyz")
    except (OSError, ValueError, http.client.HTTPException) as error:
        _fail(f"cannot reach {url}: {error}", EXIT_UNREACHABLE)
    if status != 200:
        _fail(f"not ready: {_reason_in(body) or f'it answered {status}'}", EXIT_FAILED)
    typer.echo("ready")


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
    from app.settings import BadSettings

    try:
        yield
    except BadSettings as error:
        _fail(str(error), EXIT_USAGE)
    except StartUpError as error:
        _fail(str(error), EXIT_FAILED)


def _local_url() -> str:
    """Where `awaitd serve` with this environment listens on this machine."""
    host = os.environ.get("AWAITD_HOST", "").strip("[]")
    if host in _WILDCARDS:
        host = "127.0.0.1"
    port = os.environ.get("AWAITD_PORT") or "8000"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _get(url: str) -> tuple[int, bytes]:
    """Status and body of a page. Not by urllib, which takes half as long again, and a proxy."""
    parts = urlsplit(url)
    scheme = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    with closing(scheme(parts.netloc, timeout=HEALTH_TIMEOUT)) as connection:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def _reason_in(body: bytes) -> str | None:
    try:
        return str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        return None


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"awaitd: {message}", err=True)
    raise typer.Exit(code)
