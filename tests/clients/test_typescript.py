import json
import shutil
from pathlib import Path

import pytest

from tests.clients.programs import HERE, TOOLS, run
from tests.support.server import ROOT, Server

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with generated types, and a program that uses them."""
    for name in ("example.ts", "tsconfig.json", "package.json"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(TOOLS / "node_modules")
    made = ("--output", "schema.ts", "--default-non-nullable=false")
    run(tmp_path, "openapi-typescript", ROOT / "openapi.json", *made)
    return tmp_path


def test_the_client_is_typed_and_runs_jobs(folder: Path, server: Server) -> None:
    """What openapi-typescript makes of the document passes tsc, and so does its use."""
    run(folder, "tsc")
    results, failed = run(folder, "node", "built/example.js", server.url).splitlines()
    assert json.loads(results) == [0.1, {"greeting": "hello"}, 25]
    assert json.loads(failed) == "Error: The job failed: out of paper"
