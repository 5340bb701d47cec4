import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from tests.support.server import Server

JOBS = 10_000
CONNECTIONS = 40

HEAD = (
    "POST /jobs HTTP/1.1\r\nHost: awaitd\r\nContent-Type: application/json\r\n"
    "Prefer: return=minimal\r\n"
)


async def submit_over_all(url: str, body: str) -> list[Any]:
    """Submit so many jobs of one kind, over so many connections at once."""
    share = [body] * (JOBS // CONNECTIONS)
    shares = await asyncio.gather(*(submit_all(url, share) for _ in range(CONNECTIONS)))
    return [job for share in shares for job in share]


async def submit_all(url: str, bodies: Iterable[str]) -> list[Any]:
    """Submit jobs over one connection, one after the other; with httpx it would take too long."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    jobs = []
    for body in bodies:
        writer.write(f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 202"), head
        length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
        jobs.append(json.loads(await reader.readexactly(length)))
    writer.close()
    await writer.wait_closed()
    return jobs


def all_jobs(server: Server) -> list[Any]:
    """Every job there is."""
    items, path = [], "/jobs?limit=500"
    while path:
        answer = server.client.get(path)
        items += answer.json()["items"]
        path = answer.headers.get("link", "").removeprefix("<").removesuffix('>; rel="next"')
    return items


def test_ten_thousand_jobs_in_flight(start_server: Callable[..., Server]) -> None:
    """Ten thousand jobs run at once in one process, and all of them complete."""
    server = start_server(
        AWAITD_TASKS="tests.support.tasks_for_tests",
        AWAITD_MAX_RUNNING=str(JOBS + 1),
        AWAITD_SHUTDOWN_GRACE="0",
        PYTHONASYNCIODEBUG="",  # in debug mode so many take half a minute
    )
    jobs = asyncio.run(submit_over_all(server.url, '{"task":"hold"}'))
    assert len({job["id"] for job in jobs}) == JOBS
    assert server.client.get("/readyz").json()["running"] == JOBS

    server.submit("release")
    while server.client.get("/readyz").json()["running"]:
        time.sleep(0.02)
    assert Counter(job["status"] for job in all_jobs(server)) == {"completed": JOBS + 1}
