"""The command line. Nothing is imported here that `awaitd health` can do without."""

import os
import sys


def main() -> None:
    """Run the command line."""
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
