"""Redis and PostgreSQL, with their own defaults."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.processes import Server, find_program, free_port, started

USER: Final = "nobody" if os.geteuid() == 0 else None
"""Who runs PostgreSQL, which refuses root."""


@contextlib.contextmanager
def redis() -> Iterator[tuple[Server, str]]:
    """A Redis without a password, and its URL."""
    program = find_program("redis-server")
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        with started(command, port=port) as server:
            yield server, f"redis://127.0.0.1:{port}"


@contextlib.contextmanager
def postgres() -> Iterator[tuple[Server, str]]:
    """A PostgreSQL whose user needs no password, and its connection string."""
    folder = Path(tempfile.mkdtemp())
    try:
        if USER is not None:
            shutil.chown(folder, USER)
        subprocess.run(
            [find_program("initdb"), "-D", folder, "-U", "peer", "-A", "trust"],
            user=USER,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        port = free_port()
        command = [find_program("postgres"), "-D", str(folder), "-p", str(port), "-k", str(folder)]
        with started(command, port=port, is_ready=_takes, user=USER, cwd=folder) as server:
            yield server, f"host=127.0.0.1 port={port} user=peer dbname=postgres"
    finally:
        shutil.rmtree(folder)


def _takes(port: int) -> bool:
    """Whether PostgreSQL takes connections: it listens before it does."""
    command = [find_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(command).returncode == 0
