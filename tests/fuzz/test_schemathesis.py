import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.keys import ADMIN, KeyFile
from tests.support.deep import deep
from tests.support.receiver import SECRET
from tests.support.server import ROOT, Server

HERE = Path(__file__).parent


@pytest.mark.deep
@pytest.mark.timeout(300)  # some 1,500 requests
@pytest.mark.parametrize("keyed", deep(ordinary=[True], deep=[False, True]))
def test_the_service_is_as_its_document_says(
    start_server: Callable[..., Server], tmp_path: Path, keyed: bool
) -> None:
    """What the document allows is accepted, what it forbids is refused, each answer is in it."""
    key = KeyFile(tmp_path / "data").add("anna", (ADMIN,)) if keyed else "none"
    server = start_server(
        AWAITD_TASKS=f"app.tasks.basics,{HERE / 'kinds.py'}",  # none that visits other hosts
        AWAITD_OUTBOUND_ALLOW="127.0.0.1",
        AWAITD_WEBHOOK_SECRET=SECRET,
        AWAITD_MAX_RUNNING="20",
        AWAITD_MAX_WAIT="0.1",
        AWAITD_SHUTDOWN_GRACE="0",
        AWAITD_CANCEL_GRACE="0.1",
    )
    run = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            f"--config-file={HERE / 'schemathesis.toml'}",
            "--no-color",
            "run",
            f"{server.url}/openapi.json",
            f"--header=Authorization: Bearer {key}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
