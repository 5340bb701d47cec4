import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT, Server

NOBODY = 10_001
"""The container's user, whom no passwd file knows."""

CONTAIN = """
set -e
while read -r _ place _; do
    mount -o remount,bind,ro "$place" 2>/dev/null || true
done </proc/self/mounts
mount --bind "$1" "$1"
mount -o remount,bind,rw "$1"
shift
exec "$@"
"""
"""Makes all read-only but one folder, for one process."""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="only root on Linux can make the root read-only for a process",
)


def contained(folder: Path, user: int) -> list[str]:
    """The command that runs another as in the container, where only one folder can be written.

    The right to read whatever there is stays: Python itself may be installed anywhere.
    """
    rights = "-all,+dac_read_search"
    return [
        *("unshare", "--mount", "--propagation=private", "sh", "-c", CONTAIN, "sh", str(folder)),
        *("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"),
        *(f"--bounding-set={rights}", f"--inh-caps={rights}", f"--ambient-caps={rights}"),
        *("env", "--unset=HOME", "--unset=USER"),
        "--unset=COVERAGE_PROCESS_CONFIG",  # it would be written beside the tests
        *("TMPDIR=/nowhere", "XDG_CACHE_HOME=/nowhere"),
    ]


def test_it_needs_nothing_but_its_data_directory(tmp_path: Path) -> None:
    """It works for a number of a user without a home, where only the data can be written."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, NOBODY, NOBODY)
    server = Server(tmp_path, PYTHONASYNCIODEBUG="")  # which says what was slow
    server.inside = contained(data, NOBODY)
    with server:
        assert server.process is not None
        own = Path(f"/proc/{server.process.pid}")
        assert f"Uid:\t{NOBODY}\t{NOBODY}" in (own / "status").read_text()
        (root,) = [line for line in (own / "mounts").read_text().splitlines() if " / " in line]
        assert root.split()[3].split(",")[0] == "ro"
        job = server.submit("echo", value="a" * 100_000, headers={"Prefer": "wait=10"})
        assert job["status"] == "completed"
        health = subprocess.run(
            [*server.inside, sys.executable, "-m", "app", "health", "--url", server.url],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert (health.returncode, health.stdout, health.stderr) == (0, "ready\n", "")
        assert server.terminate() == 0
    assert {path.stat().st_uid for path in data.iterdir()} == {NOBODY}
    assert not [line for line in server.log.splitlines() if " INFO " not in line]


def test_a_data_directory_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    """Without its one folder it says so and ends, without a traceback."""
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    run = subprocess.run(
        [*contained(tmp_path, NOBODY), sys.executable, "-m", "app", "serve"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "AWAITD_PORT": "0",
            "AWAITD_DATA_DIR": str(data),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("awaitd: ")
    assert str(data) in run.stderr
    assert "Traceback" not in run.stderr
