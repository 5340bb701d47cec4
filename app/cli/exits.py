"""What a command says beside its data, and how it ends; standard library only."""

import sys
from typing import Final

from app.visible import visible

EXIT_FAILED: Final = 1
"""The job failed, is not there or has no result; or the server refuses."""
EXIT_USAGE: Final = 2
"""Wrong use, a wrong setting, an unknown task or params that do not fit."""
EXIT_CANCELLED: Final = 3
EXIT_WAITED: Final = 4
"""The job has not ended in the time that there was to wait."""
EXIT_UNREACHABLE: Final = 5
EXIT_INTERRUPTED: Final = 130
"""Ctrl-C."""


def say(message: str) -> None:
    """One message to the person at the terminal, who may be shown what somebody else wrote."""
    lines = "\n".join(visible(line) for line in message.split("\n"))
    print(f"awaitd: {lines}", file=sys.stderr, flush=True)
