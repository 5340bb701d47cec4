"""compose.yaml, as far as it can be tried without Docker: its commands, rights and secrets."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from ruamel.yaml import YAML

from app.settings import CLIENT_SETTINGS, Settings
from tests.cli.test_container import NOBODY, contained
from tests.support.server import END_WITHIN, ROOT, environment

SERVICES: Final[dict[str, Any]] = YAML(typ="safe").load(ROOT / "compose.yaml")["services"]
OURS: Final = [name for name, service in SERVICES.items() if service["image"] == "awaitd"]
CLUSTER: Final = [name for name in SERVICES if name != "awaitd"]

WITH_SECRET: Final = """
set -e
mount -t tmpfs none /run
mkdir /run/secrets
cp "$1" /run/secrets/AWAITD_DATABASE_URL
shift
exec "$@"
"""
"""Gives one process a secret by file, as Docker does."""


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_a_right_that_it_does_not_need(name: str) -> None:
    """Nothing but volumes can be written, nobody is root, nothing can be gained."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].partition(":")[0]) > 0
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", SERVICES)
def test_what_serves_is_looked_at(name: str) -> None:
    """A health check for whatever listens; none, which would always fail, for what does not."""
    check = SERVICES[name]["healthcheck"]
    assert ("test" in check) is (name not in ("migrate", "worker"))
    assert ("disable" in check) is (name in ("migrate", "worker"))


@pytest.mark.parametrize("name", OURS)
def test_settings_are_known(name: str) -> None:
    """Whatever it sets is a setting, in the environment or by a secret's name."""
    service = SERVICES[name]
    known = {f"AWAITD_{field.upper()}" for field in Settings.model_fields} | CLIENT_SETTINGS
    assert {*service.get("environment", ()), *service.get("secrets", ())} <= known


def test_one_process_is_the_default() -> None:
    """Without a profile there is the one service with its journal; with it, a cluster of nodes."""
    assert "profiles" not in SERVICES["awaitd"]
    assert {tuple(SERVICES[name]["profiles"]) for name in CLUSTER} == {("cluster",)}
    assert len([name for name in CLUSTER if name.startswith("api-")]) == 2
    assert SERVICES["worker"]["deploy"]["replicas"] == 2


def test_nodes_wait_for_the_migration_and_it_for_the_database() -> None:
    """It runs once, before them."""
    after = {name: SERVICES[name]["depends_on"] for name in OURS if name != "awaitd"}
    assert after.pop("migrate") == {"postgres": {"condition": "service_healthy"}}
    done = {"migrate": {"condition": "service_completed_successfully"}}
    assert all(needs == done for needs in after.values())


@pytest.fixture
def secret(tmp_path: Path) -> Iterator[Path]:
    """A file with the connection string of an empty database."""
    pytest.importorskip("psycopg", reason="needs the libraries of PostgreSQL")
    from tests.support.postgres import drop_database, new_database

    file = tmp_path / "database-url"
    url = new_database(migrated=False)
    file.write_text(url)
    yield file
    drop_database(url)


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="only root on Linux can make the root read-only for a process",
)
@pytest.mark.postgres
def test_its_commands_make_a_cluster(secret: Path, tmp_path: Path) -> None:
    """The migration, an API node and a worker run contained, with the secret by file alone."""
    folders = {name: tmp_path / name for name in ("migrate", "api-1", "worker")}
    for folder in folders.values():
        folder.mkdir(mode=0o700)
        os.chown(folder, NOBODY, NOBODY)
    migration = subprocess.run(
        command("migrate", secret, folders["migrate"]),
        env=environment(),
        cwd=folders["migrate"],
        capture_output=True,
        text=True,
    )
    assert (migration.returncode, migration.stdout) == (0, ""), migration.stderr
    settings = environment(AWAITD_DATA_DIR=str(folders["api-1"]))
    with (
        running(command("worker", secret, folders["worker"]), environment(), tmp_path),
        running(command("api-1", secret, folders["api-1"]), settings, tmp_path) as api,
    ):
        assert api.stdout is not None
        url = api.stdout.readline().rpartition(" on ")[2].strip()
        body = {"task": "echo", "params": {"value": "a" * 100_000}}
        headers = {"Prefer": "wait=20"}
        job = httpx.post(f"{url}/jobs", json=body, headers=headers, timeout=30).json()
        assert (job["status"], len(job["result"])) == ("completed", 100_000)
    assert not [path for folder in folders.values() for path in folder.iterdir()]


def command(name: str, secret: Path, folder: Path) -> Sequence[str]:
    """What the service runs, with what it is given."""
    ours = SERVICES[name].get("command", ["serve"])  # the image's own
    inside = contained(folder, NOBODY)
    within = ["unshare", "--mount", "--propagation=private", "sh", "-c", WITH_SECRET, "sh"]
    return [*within, str(secret), *inside, sys.executable, "-m", "app", *ours]


@contextlib.contextmanager
def running(
    command: Sequence[str], env: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[str]]:
    """A process that ends well when it is told to."""
    with subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.PIPE, text=True) as it:
        try:
            yield it
            it.terminate()
            assert it.wait(END_WITHIN) == 0
        finally:
            it.kill()
