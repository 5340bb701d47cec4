import shutil
from pathlib import Path

import pytest

from tests.clients.programs import HERE, PYTHON, run
from tests.support.server import ROOT, Server

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a generated client, and a program that uses it."""
    made = ("--meta", "none", "--output-path", "awaitd_client", "--fail-on-warning")
    document = ("--path", ROOT / "openapi.json", "--config", HERE / "generator.yml")
    run(tmp_path, "openapi-python-client", "generate", *document, *made)
    shutil.copy(HERE / "example.py", tmp_path)
    return tmp_path


def test_the_client_is_typed_and_runs_a_job(folder: Path, server: Server) -> None:
    """What openapi-python-client makes of the document passes mypy, and so does its use."""
    options = ("--strict", "--python-executable", PYTHON, "--cache-dir", ".mypy")
    # Not client.py: it is the same for every document, and not strictly typed.
    made = ("awaitd_client/api", "awaitd_client/models", "--follow-imports=silent")
    run(folder, "mypy", *options, "example.py", *made)
    printed = run(folder, str(PYTHON), "example.py", server.url)
    assert printed.splitlines() == ["42 0.1", "There is no such job"]
