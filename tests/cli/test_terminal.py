import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.cli.conftest import Awaitd
from tests.cli.terminal import Terminal
from tests.support.gates import open_gate
from tests.support.server import Server, environment

AWAITD = (sys.executable, "-m", "app")
COLOR = r"\x1b\[[0-9;]*m"


def test_the_bar(jobs: Server, gate: Path, tmp_path: Path) -> None:
    """A terminal shows how far the job is, wiped away at its end; stdout has the result alone."""
    command = (*AWAITD, "run", "report_progress", f"path={gate}", "--wait")
    with Terminal(command, tmp_path, {"AWAITD_URL": jobs.url}, PIPE) as terminal:
        shown = terminal.until("half way")
        assert "50%" in shown
        assert re.search(COLOR, shown)
        open_gate(gate)
        assert terminal.rest() == (0, "null\n")
    assert terminal.seen.count("awaitd: job ") == 1
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("half way")


@pytest.mark.parametrize(
    ("settings", "has_bar"), [({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False)]
)
def test_a_plainer_bar(
    jobs: Server, gate: Path, tmp_path: Path, settings: dict[str, str], has_bar: bool
) -> None:
    """NO_COLOR takes the colours away, a terminal that can do nothing has no bar."""
    command = (*AWAITD, "run", "report_progress", f"path={gate}", "--wait")
    with Terminal(command, tmp_path, {"AWAITD_URL": jobs.url, **settings}) as terminal:
        terminal.until("half way" if has_bar else "awaitd: job ")
        open_gate(gate)
        assert terminal.rest() == (0, "")
    colors = {match for match in re.findall(COLOR, terminal.seen) if match != "\x1b[0m"}
    assert not {color for color in colors if re.search(r"[\[;][34]\d", color)}
    assert ("\x1b" in terminal.seen) is has_bar
    assert has_bar or terminal.seen.endswith("\r\nnull\r\n")
    assert has_bar or terminal.seen.count("\n") == 2


def test_ctrl_c_leaves_the_job_running(jobs: Server, gate: Path, tmp_path: Path) -> None:
    """Ctrl-C ends the waiting, with the cursor in its place, and says how to cancel the job."""
    command = (*AWAITD, "run", "report_progress", f"path={gate}", "--wait")
    with Terminal(command, tmp_path, {"AWAITD_URL": jobs.url}, PIPE) as terminal:
        terminal.until("half way")
        terminal.press("\x03")
        assert terminal.rest() == (130, "")
    job_id = terminal.seen.split()[2]
    assert f"awaitd: the job goes on; to cancel it: awaitd cancel {job_id}" in terminal.seen
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("half way")
    assert "Traceback" not in terminal.seen
    assert jobs.job(job_id)["status"] == "running"


def test_an_interrupt_in_a_pipe(jobs: Server, gate: Path, tmp_path: Path) -> None:
    """The same without a terminal."""
    process = subprocess.Popen(
        [*AWAITD, "run", "wait_for_file", f"path={gate}", "--wait"],
        cwd=tmp_path,
        env=environment(AWAITD_URL=jobs.url),
        # What a shell starts in the background ignores SIGINT, and so would this.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        stdout=PIPE,
        stderr=PIPE,
        text=True,
    )
    assert process.stderr is not None
    job_id = process.stderr.readline().split()[2]
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (130, "")
    assert stderr == f"awaitd: the job goes on; to cancel it: awaitd cancel {job_id}\n"
    assert jobs.job(job_id)["status"] == "running"


def test_colors_of_a_list(awaitd: Awaitd, jobs: Server, tmp_path: Path) -> None:
    """A terminal shows statuses in colours, unless NO_COLOR is set."""
    assert awaitd("run", "fail", "message=x", "--wait", "--label", "mark=colors").exit_code == 1
    command = (*AWAITD, "ls", "--label", "mark=colors")
    cases: list[tuple[dict[str, str], bool]] = [({}, True), ({"NO_COLOR": "1"}, False)]
    for settings, colored in cases:
        with Terminal(command, tmp_path, {"AWAITD_URL": jobs.url, **settings}) as terminal:
            assert terminal.rest() == (0, "")
        assert "failed" in terminal.seen
        assert (re.search(COLOR, terminal.seen) is not None) is colored
