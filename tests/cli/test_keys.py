import json
import subprocess
from pathlib import Path

import pytest

from tests.support.command import run


def keys(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `awaitd keys`."""
    data = str(folder / "data")
    return run("keys", *arguments, folder=folder, **{"AWAITD_DATA_DIR": data, **settings})


def test_add_list_and_remove(tmp_path: Path) -> None:
    """`add` prints the key alone; `ls` shows all but what is secret; `rm` takes it away."""
    added = keys(
        tmp_path, "add", "anna", "--scope", "read", "--scope", "submit:sleep", "--expires", "2"
    )
    assert (added.returncode, added.stderr) == (0, "")
    assert added.stdout.count("\n") == 1
    key = added.stdout.strip()
    listed = keys(tmp_path, "ls", "--output", "json")
    [row] = json.loads(listed.stdout)
    assert (row["owner"], row["scopes"]) == ("anna", ["read", "submit:sleep"])
    assert row["id"] == key.split("_")[1]
    assert row["expires_at"] > row["created_at"]
    assert "sha256" not in row
    assert json.loads(keys(tmp_path, "ls", "--output", "jsonl").stdout) == row
    table = keys(tmp_path, "ls").stdout.splitlines()
    assert [line.split()[1] for line in table] == ["owner", "anna"]
    removed = keys(tmp_path, "rm", "anna")
    assert (removed.returncode, removed.stdout) == (0, "")
    assert row["id"] in removed.stderr
    assert keys(tmp_path, "ls", "--output", "jsonl").stdout == ""


def test_the_default_scopes(tmp_path: Path) -> None:
    """Without `--scope` a key is for all but administration, and never expires."""
    keys(tmp_path, "add", "anna")
    [row] = json.loads(keys(tmp_path, "ls", "--output", "json").stdout)
    assert (row["scopes"], row["expires_at"]) == (["submit", "read", "cancel"], None)
    assert "never" in keys(tmp_path, "ls").stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add", "a b"), 2),
        (("add", "anna", "--scope", "root"), 2),
        (("add", "anna", "--expires", "0"), 2),
        (("add",), 2),
        (("rm", "nobody"), 1),
        (("ls", "--output", "xml"), 2),
    ],
)
def test_errors(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    """Wrong use exits 2, what is not there 1, each with one message and no traceback."""
    found = keys(tmp_path, *arguments)
    assert (found.returncode, found.stdout) == (code, "")
    assert "Traceback" not in found.stderr
    assert found.stderr


def test_a_wrong_setting(tmp_path: Path) -> None:
    """A setting that there is not is an error here too."""
    assert keys(tmp_path, "ls", AWAITD_TYPO="1").returncode == 2
