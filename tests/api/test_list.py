from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.jobs.registry import TaskRegistry
from app.main import build_app
from app.settings import Settings
from tests.support.app_server import serving
from tests.support.engines import EndlessEngine
from tests.support.server import Server


@pytest.fixture(scope="module")
def five(server: Server) -> list[Any]:
    """The five newest jobs, newest first, as summaries."""
    jobs = [server.submit("echo", value=n, headers={"Prefer": "wait=10"}) for n in range(5)]
    large = ("params", "result", "attempts", "webhook")
    return [{name: job[name] for name in job if name not in large} for job in reversed(jobs)]


@pytest.fixture(scope="module")
def endless() -> Iterator[httpx.Client]:
    """A client of a service whose list has no end."""
    app = build_app(Settings.model_construct(), TaskRegistry(), EndlessEngine())
    with serving(app) as client:
        yield client


def get_page(client: httpx.Client, query: str) -> Any:
    """The page that a query gets."""
    answer = client.get(f"/jobs?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def pages_of(client: httpx.Client, path: str) -> Iterator[Any]:
    """All pages from a path on, by following `Link`."""
    while path:
        answer = client.get(path)
        yield answer.json()
        link = answer.headers.get("link", "")
        assert bool(link) is (answer.json()["next"] is not None)
        path = link.removeprefix("<").removesuffix('>; rel="next"')


def test_the_newest_come_first_as_summaries(client: httpx.Client, five: list[Any]) -> None:
    """The list is newest first, without params, result, attempts and webhook."""
    answer = client.get("/jobs?limit=5")
    assert answer.json()["items"] == five
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Prefer, Authorization"


def test_next_leads_to_the_following_page(client: httpx.Client, five: list[Any]) -> None:
    """`next` is the cursor of the page that follows, and `Link` leads there."""
    first = client.get("/jobs?limit=2")
    cursor = first.json()["next"]
    assert first.headers["link"] == f'</jobs?limit=2&cursor={cursor}>; rel="next"'
    assert get_page(client, f"limit=2&cursor={cursor}")["items"] == five[2:4]


def test_pages_stay_as_they_are(client: httpx.Client, server: Server, five: list[Any]) -> None:
    """Jobs that arrive meanwhile are on no later page."""
    cursor = get_page(client, "limit=1")["next"]
    following = get_page(client, f"limit=4&cursor={cursor}")
    server.submit("echo", value="new", headers={"Prefer": "wait=10"})
    assert get_page(client, f"limit=4&cursor={cursor}") == following


def test_all_pages_have_each_job_once(hasty: Server) -> None:
    """Following `Link` to its end gives each job once, and the last page has no next."""
    submitted = [hasty.submit("count_runs", path="/dev/null")["id"] for _ in range(7)]
    pages = list(pages_of(hasty.client, "/jobs?limit=3"))
    ids = [item["id"] for page in pages for item in page["items"]]
    assert ids[:7] == submitted[::-1]
    assert len(ids) == len(set(ids))
    assert pages[-1]["next"] is None


def test_a_page_beyond_the_end_is_empty(client: httpx.Client) -> None:
    """A cursor before the first job gives an empty page."""
    beyond = "AAAAAAAAcACAAAAAAAAAAA"
    assert get_page(client, f"cursor={beyond}") == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("limit", "taken"),
    [("1", 1), ("0000000000007", 7), ("500", 500), ("501", 500), ("9" * 5_000, 500)],
)
def test_a_large_limit_is_clamped(endless: httpx.Client, limit: str, taken: int) -> None:
    """More than 500 is taken as 500, as the link to the next page shows."""
    answer = endless.get(f"/jobs?limit={limit}")
    assert answer.headers["link"].startswith(f"</jobs?limit={taken}&cursor=")


@pytest.mark.parametrize(
    "limit", ["0", "-1", "+1", "", "1.0", "1e2", "ten", " 1", "٣", "0x10", "000", "1%00"]
)
def test_a_wrong_limit_is_400(client: httpx.Client, limit: str) -> None:
    """What is no whole number above 0 is `invalid-parameter`."""
    answer = client.get("/jobs", params=f"limit={limit}")
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/invalid-parameter"
    assert "limit" in answer.json()["detail"]


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "AAAA", "A" * 21, "A" * 23, "A" * 5_000, "é", "%00", "AAAA AAAA", "A" * 21 + "=",
     "A" * 21 + "B", "/" * 22],
)  # fmt: skip
def test_a_strange_cursor_is_400(client: httpx.Client, cursor: str) -> None:
    """What this server has not made is `invalid-cursor`."""
    answer = client.get("/jobs", params=f"cursor={cursor}")
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/invalid-cursor"


@pytest.mark.parametrize("query", ["page=2", "limit=1&offset=5", "Limit=1", "=", "limit=1&limit=1"])
def test_an_unknown_or_repeated_name_is_400(client: httpx.Client, query: str) -> None:
    """A query name that the list does not know, or a limit given twice, is refused."""
    answer = client.get(f"/jobs?{query}")
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/invalid-parameter"


def test_a_running_job_is_in_the_list(client: httpx.Client, server: Server, gate: Path) -> None:
    """The list shows the status of jobs that have not ended."""
    job = server.running("wait_for_file", path=str(gate))
    items = get_page(client, "limit=500")["items"]
    (found,) = [item for item in items if item["id"] == job["id"]]
    assert (found["status"], found["done"]) == ("running", False)
