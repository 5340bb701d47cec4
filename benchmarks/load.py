"""Load by wrk, and what it cost the server."""

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Sample
from benchmarks.processes import LOAD_CPUS, Server, find_program

SCRIPT: Final = Path(__file__).with_name("wrk.lua")
IDLE_WITHIN: Final = 60.0


def load(
    server: Server, path: str, connections: int, seconds: float, body: str | None = None
) -> Sample:
    """Requests one after another on each connection, for so many seconds.

    Gives the server tree's `cpu_us` of a request, `p50_ms`, `p99_ms` and `rate` in requests a
    second. A server of awaitd has run all its jobs to their end before its CPU time is read.
    Raises `RuntimeError` if a request failed.
    """
    before = server.cpu_seconds()
    report = _wrk(server.url + path, connections, seconds, body)
    if body is not None and path == "/jobs":
        wait_until_idle(server)
    cpu = server.cpu_seconds() - before
    if report["errors"] or not report["requests"]:
        raise RuntimeError(f"{path}: {report}")
    return {
        "cpu_us": cpu / report["requests"] * 1e6,
        "p50_ms": report["p50_ms"],
        "p99_ms": report["p99_ms"],
        "rate": report["requests"] / report["seconds"],
    }


def wait_until_idle(server: Server) -> None:
    """Return when no job is pending or running; at once where nothing tells of jobs."""
    deadline = time.monotonic() + IDLE_WITHIN
    while time.monotonic() < deadline:
        try:
            ready = get_json(f"{server.url}/readyz")
        except OSError:
            return
        if not ready.get("pending", 0) + ready.get("running", 0):
            return
        time.sleep(0.01)
    raise RuntimeError("jobs have not ended")


def get_json(url: str, body: object = None) -> Any:
    """The answer to a GET, or to a POST of a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _wrk(url: str, connections: int, seconds: float, body: str | None) -> dict[str, float]:
    command = [find_program("wrk"), "--threads=1", f"--connections={connections}"]
    command += [f"--duration={max(1, round(seconds))}s", "--timeout=10s"]
    command += [f"--script={SCRIPT}", url, "--"]
    if body is not None:
        command.append(body)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        os.sched_setaffinity(process.pid, LOAD_CPUS)
        output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"wrk ended with {process.returncode}")
    report: dict[str, float] = json.loads(output.splitlines()[-1])
    return report
