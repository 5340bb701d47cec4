"""The programs that make and check clients."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent

TOOLS: Final = Path(sys.prefix) / "clients"
"""Where scripts/test installs what is not for the environment that the tests run in."""

PYTHON: Final = TOOLS / "bin/python"

_PATH: Final = os.pathsep.join(
    map(str, (TOOLS / "bin", TOOLS / "node_modules/.bin", Path(sys.prefix) / "bin"))
)


def run(folder: Path, program: str, *arguments: str | Path) -> str:
    """Run a program in a folder; gives what it prints, raises `AssertionError` when it fails."""
    path = f"{_PATH}{os.pathsep}{os.environ['PATH']}"
    found = shutil.which(program, path=path)
    assert found, f"there is no {program}; scripts/test installs it"
    environment = os.environ | {"PATH": path}
    command = [found, *arguments]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, f"{program}:\n{ended.stdout}{ended.stderr}"
    return ended.stdout
