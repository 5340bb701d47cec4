import json
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.support.deep import deep
from tests.support.forked import ForkedServer
from tests.support.raw import connect

CYCLES = deep(ordinary=10, deep=30)

BODY = json.dumps({"task": "sleep", "params": {"seconds": 3600}})
DELAYED = json.dumps({"task": "sleep", "params": {"seconds": 3600}, "delay": 3600})


def submit_until_first_byte(server: ForkedServer, number: int, body: str) -> bytes:
    """Submit a job with a key, and return with the first bytes of the answer."""
    head = (
        "POST /jobs HTTP/1.1\r\nHost: awaitd\r\nContent-Type: application/json\r\n"
        f"Idempotency-Key: cycle-{number}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with closing(connect(server.url)) as connection:
        connection.sendall((head + body).encode())
        first = connection.recv(12)
        server.kill()
        return first


@pytest.mark.deep
@pytest.mark.parametrize(("body", "status"), [(BODY, "failed"), (DELAYED, "pending")])
def test_a_job_is_there_from_the_first_byte_of_its_202(
    tmp_path: Path, body: str, status: str
) -> None:
    """However often the process is killed at the first byte of a 202, no such job is lost."""
    for number in range(CYCLES // 2):
        with ForkedServer(tmp_path) as server:
            assert submit_until_first_byte(server, number, body) == b"HTTP/1.1 202"
    with ForkedServer(tmp_path) as server, httpx.Client(base_url=server.url) as client:
        jobs = client.get("/jobs?limit=500").json()["items"]
        assert [job["status"] for job in jobs] == [status] * (CYCLES // 2)
        for number, job in enumerate(reversed(jobs)):
            headers = {
                "Content-Type": "application/json",
                "Idempotency-Key": f"cycle-{number}",
            }
            again = client.post("/jobs", content=body, headers=headers)
            assert again.headers["idempotent-replayed"] == "true"
            assert again.json()["id"] == job["id"]
