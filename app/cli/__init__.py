"""The command line. Nothing is imported here that `awaitd health` can do without."""

import os
import sys


def main() -> None:
    """Run the command line; an interrupt, and what cannot be written, are no traceback."""
    try:
        # A server writes to nobody, and says by itself what keeps it from its work.
        _run() if sys.argv[1:2] in (["serve"], ["worker"]) else _run_written()
    except KeyboardInterrupt:
        os._exit(130)  # at once: a second interrupt finds nothing to break into


def _run_written() -> None:
    from app.cli.exits import EXIT_FAILED, say

    if sys.stdout is None:
        say("stdout is closed: nothing can be written to it")
        sys.exit(EXIT_FAILED)
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # who reads no more knows
            say(f"cannot go on: {error}")
        os._exit(EXIT_FAILED)  # what is left in stdout cannot be written either


def _run() -> None:
    match sys.argv[1:]:
        # A container asks for it every few seconds: it waits for no library of the others.
        case ["health"] if "_AWAITD_COMPLETE" not in os.environ:
            check(None)
        case ["health", "--url", url]:
            check(url)
        case _:
            from app.cli.commands import cli

            cli(prog_name="awaitd")


def check(url: str | None) -> None:
    """`awaitd health`, without what reads a command line."""
    from app.cli.health import check_health

    sys.exit(check_health(url))
