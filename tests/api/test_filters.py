from typing import Any

import httpx
import pytest

from tests.support.server import Server


@pytest.fixture(scope="module")
def jobs(server: Server) -> dict[str, Any]:
    """A completed, a failed and a delayed job with a label of this module's own."""

    def submit(task: str, wait: int, **more: Any) -> Any:
        body = {"task": task, "labels": {"module": "filters"}, **more}
        return server.client.post("/jobs", json=body, headers={"Prefer": f"wait={wait}"}).json()

    return {
        "completed": submit("echo", 10, params={"value": 1}),
        "failed": submit("fail", 10, params={"message": "no"}),
        "pending": submit("echo", 0, params={"value": 2}, delay=3600),
    }


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", ["pending", "failed", "completed"]),
        ("&status=pending", ["pending"]),
        ("&status=pending&status=failed", ["pending", "failed"]),
        ("&task=echo", ["pending", "completed"]),
        ("&task=echo&task=fail&status=completed", ["completed"]),
        ("&label=module:other", []),
        ("&task=unheard", []),
    ],
)
def test_filters(client: httpx.Client, jobs: dict[str, Any], query: str, wanted: list[str]) -> None:
    """The same name repeated is OR, different names are AND, several labels are AND."""
    page = client.get(f"/jobs?label=module:filters{query}").json()
    assert [job["id"] for job in page["items"]] == [jobs[name]["id"] for name in wanted]


def test_times(client: httpx.Client, jobs: dict[str, Any]) -> None:
    """A time is a bound on when jobs were submitted, with any UTC offset."""
    at = jobs["failed"]["created_at"]
    query = {"label": "module:filters", "created_after": at}
    page = client.get("/jobs", params=query).json()
    assert jobs["failed"]["id"] in [job["id"] for job in page["items"]]
    query = {"label": "module:filters", "created_before": at.replace("Z", "+00:00")}
    page = client.get("/jobs", params=query).json()
    assert [job["id"] for job in page["items"]] == [jobs["completed"]["id"]]


def test_next_keeps_the_filters(client: httpx.Client, jobs: dict[str, Any]) -> None:
    """`Link` leads to the next page of the same query."""
    answer = client.get("/jobs?label=module:filters&task=echo&task=fail&limit=2")
    following = answer.headers["link"].removeprefix("<").removesuffix('>; rel="next"')
    assert [job["id"] for job in client.get(following).json()["items"]] == [jobs["completed"]["id"]]


@pytest.mark.parametrize(
    "query",
    [
        "status=done",
        "status=",
        "label=order",
        "label=:42",
        "created_after=yesterday",
        "created_after=2026-11-22",
        "created_after=2026-11-22T10:00:00",
        "created_before=2026-11-22T10:00:00Z&created_before=2026-11-22T10:00:00Z",
        "state=pending",
        "&".join(f"task=task-{number}" for number in range(200)),
    ],
)
def test_wrong_filters(client: httpx.Client, query: str) -> None:
    """A filter that is none is 400 `invalid-parameter`."""
    answer = client.get(f"/jobs?{query}")
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/invalid-parameter"
