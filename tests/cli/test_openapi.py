from pathlib import Path

from typer.testing import CliRunner

from app.cli.commands import cli
from tests.support.command import run
from tests.support.server import ROOT


def test_the_committed_document_is_current(tmp_path: Path) -> None:
    """openapi.json is what `awaitd openapi` prints: else run `awaitd openapi > openapi.json`."""
    ended = run("openapi", folder=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (ROOT / "openapi.json").read_text()
    assert list(tmp_path.iterdir()) == []


def test_bad_settings_are_one_message() -> None:
    """What `serve` would refuse is refused here too, in the same way."""
    result = CliRunner().invoke(cli, ["openapi"], env={"AWAITD_PROT": "1"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("awaitd: there is no setting AWAITD_PROT")
    result = CliRunner().invoke(cli, ["openapi"], env={"AWAITD_TASKS": "none.py"})
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("awaitd: cannot import")
