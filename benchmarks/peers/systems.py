"""The systems that are compared, each started with all its parts."""

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import http
from benchmarks.peers import stores
from benchmarks.processes import Missing, Server, free_port, started

ROOT: Final = Path(__file__).parents[2]
HERE: Final = "benchmarks.peers"


@dataclass(frozen=True)
class System:
    """What answers HTTP, and all that works for it."""

    api: Server
    others: tuple[Server, ...] = ()

    @property
    def port(self) -> int:
        """Where it takes jobs."""
        return self.api.port

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        return sum(server.cpu_seconds() for server in (self.api, *self.others))

    def memory_bytes(self) -> int:
        """Proportional memory of all its processes."""
        return sum(server.memory_bytes() for server in (self.api, *self.others))


@contextlib.contextmanager
def awaitd() -> Iterator[System]:
    """What `awaitd serve` starts."""
    with tempfile.TemporaryDirectory() as folder, http.awaitd(folder) as server:
        yield System(server)


@contextlib.contextmanager
def background() -> Iterator[System]:
    """FastAPI with BackgroundTasks and a dict."""
    with _api("background", {}) as api:
        yield System(api)


@contextlib.contextmanager
def saq() -> Iterator[System]:
    """FastAPI, a SAQ worker and Redis."""
    with ExitStack() as stack:
        broker, url = stack.enter_context(stores.redis())
        env = {"PEER_REDIS": url}
        worker = stack.enter_context(_worker(["saq", f"{HERE}.saq_jobs.settings"], env))
        yield System(stack.enter_context(_api("saq_api", env)), (worker, broker))


@contextlib.contextmanager
def celery() -> Iterator[System]:
    """FastAPI, a Celery worker of a process for each processor, Redis for jobs and results."""
    with ExitStack() as stack:
        broker, url = stack.enter_context(stores.redis())
        env = {"PEER_REDIS": url}
        command = ["celery", "--app", f"{HERE}.celery_jobs", "worker"]
        worker = stack.enter_context(_worker(command, env))
        yield System(stack.enter_context(_api("celery_api", env)), (worker, broker))


@contextlib.contextmanager
def procrastinate() -> Iterator[System]:
    """FastAPI, a Procrastinate worker that runs ten jobs at once as SAQ's does, and PostgreSQL."""
    with ExitStack() as stack:
        database, conninfo = stack.enter_context(stores.postgres())
        env = {"PEER_POSTGRES": conninfo}
        command = ["procrastinate", "--app", f"{HERE}.procrastinate_jobs.app"]
        command += ["--log-level", "warning"]  # as other workers, which log no job by default
        subprocess.run(
            [sys.executable, "-m", *command, "schema", "--apply"],
            cwd=ROOT,
            env={**os.environ, **env},
            capture_output=True,
            check=True,
        )
        worker = stack.enter_context(_worker([*command, "worker", "--concurrency", "10"], env))
        yield System(stack.enter_context(_api("procrastinate_api", env)), (worker, database))


def _api(module: str, env: Mapping[str, str]) -> contextlib.AbstractContextManager[Server]:
    """A FastAPI app under the server that awaitd runs under, logging no more than awaitd does."""
    port = free_port()
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--port", str(port)]
    command = [sys.executable, "-m", "uvicorn", f"{HERE}.{module}:app", *options]
    return _run(command, env, port=port)


def _worker(
    command: list[str], env: Mapping[str, str]
) -> contextlib.AbstractContextManager[Server]:
    """A worker; it takes a moment more until it runs jobs, which the first submission waits for."""
    if importlib.util.find_spec(command[0]) is None:
        raise Missing(f"needs {command[0]}: pip install -r benchmarks/requirements.lock")
    return _run([sys.executable, "-m", *command], env, port=0, is_ready=lambda _port: True)


def _run(
    command: list[str],
    env: Mapping[str, str],
    *,
    port: int,
    is_ready: Callable[[int], bool] | None = None,
) -> contextlib.AbstractContextManager[Server]:
    return started(command, port=port, env=env, cwd=ROOT, is_ready=is_ready)
