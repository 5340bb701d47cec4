import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT, Server, environment

CLIENT = ROOT / "docs/client.md"
CLI = ROOT / "docs/cli.md"
README = ROOT / "README.md"
EXAMPLES = [
    block
    for page in (CLIENT, README)
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    if "app.client" in block
]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_of_the_client_run(
    jobs: Server, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Each example of docs/client.md and README runs as it stands there."""
    monkeypatch.setenv("AWAITD_URL", jobs.url)
    exec(compile(EXAMPLES[number], f"example {number}", "exec"), {"__name__": "example"})


def test_examples_of_the_command_line_run(jobs: Server, tmp_path: Path) -> None:
    """Each command of docs/cli.md prints what stands below it."""
    program = tmp_path / "awaitd"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m app "$@"\n')
    program.chmod(0o755)
    (block,) = re.findall(r"```console\n(.*?)```", CLI.read_text(), re.DOTALL)
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    assert len(steps) > 3
    ended = subprocess.run(
        ["bash", "-c", "\n".join(command for command, _ in steps)],
        cwd=tmp_path,
        env=environment(AWAITD_URL=jobs.url, PATH=f"{tmp_path}:/usr/bin:/bin"),
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert ended.stdout == "".join(printed for _, printed in steps)
