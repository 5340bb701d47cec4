"""Every caller sees and touches only what is theirs."""

from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.security.callers import Callers, running, submit
from tests.support.sse import events_of

PATHS = ("", "/result", "/events", "/logs")


@pytest.fixture
def mine(callers: Callers) -> Any:
    """A running job of anna's."""
    return running(callers("anna"), labels={"who": "anna"})


def told(answer: httpx.Response) -> Any:
    """What an answer says, but for the id that was asked for."""
    body = answer.json()
    for name in ("instance", "detail"):
        body.pop(name)
    return answer.status_code, body


@pytest.mark.parametrize("path", PATHS)
def test_another_owners_job_is_not_there(callers: Callers, mine: Any, path: str) -> None:
    """A foreign id answers as an unknown one does."""
    bob = callers("bob")
    absent = mine["id"][:14] + "7fff-8fff-ffffffffffff"
    foreign, unknown = (bob.get(f"/jobs/{id_}{path}") for id_ in (mine["id"], absent))
    assert told(foreign) == told(unknown)
    assert foreign.status_code == 404
    assert callers("anna").get(f"/jobs/{mine['id']}/logs").status_code == 200


def test_another_owners_job_is_not_cancelled(callers: Callers, mine: Any) -> None:
    """A DELETE of a foreign job is one of an unknown job, and touches nothing."""
    answer = callers("bob").delete(f"/jobs/{mine['id']}")
    assert answer.status_code == 404
    mine = callers("anna").get(f"/jobs/{mine['id']}").json()
    assert (mine["done"], mine["cancel_requested_at"]) == (False, None)


def test_the_end_of_another_owners_job_is_not_told(callers: Callers, mine: Any) -> None:
    """To have a foreign job delivered is to ask for an unknown one; an administrator may."""
    path = f"/jobs/{mine['id']}/deliveries"
    assert callers("bob").post(path).status_code == 404
    assert callers("anna").post(path).status_code == 409
    assert callers("ops", "admin").post(path).status_code == 409


def test_another_owners_job_is_not_copied(callers: Callers, mine: Any) -> None:
    """A copy of a foreign job is one of an unknown job; an administrator may."""
    body = {"copy_of": mine["id"]}
    for query in ("", "?validate_only=true"):
        assert callers("bob").post("/jobs" + query, json=body).status_code == 404
    copy = callers("ops", "admin").post("/jobs", json=body)
    assert (copy.status_code, copy.json()["task"]) == (202, "never_end")
    assert callers("anna").get(copy.json()["links"]["self"]).status_code == 404


def test_lists_have_ones_own(callers: Callers, mine: Any) -> None:
    """Lists by any filter have the caller's own jobs only; an administrator's have all."""
    other = running(callers("bob"), labels={"who": "bob", "to": "x"})
    queries = ("", "status=running", "task=never_end", "task=never_end&status=running")
    for query in (*queries, "label=who:anna", "label=who:bob&status=running"):
        for owner, job in (("anna", mine), ("bob", other)):
            items = callers(owner).get(f"/jobs?limit=500&{query}").json()["items"]
            assert all(item["labels"].get("who") in (None, owner) for item in items)
            fits = "label" not in query or job["labels"]["who"] in query
            assert (job["id"] in {item["id"] for item in items}) == fits
    everything = callers("ops", "admin").get("/jobs?limit=500").json()["items"]
    assert {mine["id"], other["id"]} <= {item["id"] for item in everything}


def test_pages_have_ones_own(callers: Callers) -> None:
    """Every page of a list is full of the caller's own jobs, whatever stands between."""
    jobs = [submit(callers(owner), "never_end", delay=3600) for owner in ("zoe", "yan") * 5]
    path, seen = "/jobs?limit=2", []
    while path:
        page = callers("zoe").get(path)
        seen.append([item["id"] for item in page.json()["items"]])
        path = page.headers.get("link", "").removeprefix("<").removesuffix('>; rel="next"')
    assert [len(page) for page in seen] == [2, 2, 1]
    assert [id_ for page in seen for id_ in page] == [job["id"] for job in reversed(jobs[::2])]


def test_keys_are_ones_own(callers: Callers) -> None:
    """Two owners may use the same idempotency key for different submissions."""
    headers = {"Idempotency-Key": "same"}
    ids = []
    for owner, seconds in product(("anna", "bob"), (1, 1, 2)):
        body = {"task": "sleep", "params": {"seconds": seconds}, "delay": 3600}
        answer = callers(owner).post("/jobs", json=body, headers=headers)
        assert answer.status_code == (422 if seconds == 2 else 202)
        if seconds == 1:
            ids.append(answer.json()["id"])
    assert ids[0] == ids[1] != ids[2] == ids[3]


def test_another_key_of_an_owner(callers: Callers, mine: Any) -> None:
    """A job is its owner's, not the key's that it came with."""
    assert callers("anna", "reader").get(f"/jobs/{mine['id']}").status_code == 200
    assert callers("anna", "canceller").delete(f"/jobs/{mine['id']}").status_code in (200, 202)


def test_streams_have_ones_own(callers: Callers, tmp_path: Path) -> None:
    """A stream of all jobs tells of the caller's own: states, progress and lines."""
    seen, ended, gate = [], 0, tmp_path / "gate"
    with callers("bob").stream("GET", "/events") as answer:
        events = events_of(answer)
        assert next(events).kind is None  # where it goes on from: it is open
        foreign = submit(callers("anna"), "talk_and_end")
        callers("anna").get(f"/jobs/{foreign['id']}", headers={"Prefer": "wait=10"})
        talks = submit(callers("bob"), "talk_and_end")["id"]
        waits = submit(callers("bob"), "report_progress", params={"path": str(gate)})["id"]
        while ended < 2:
            event = next(events)
            seen.append(event)
            ended += event.kind == "done"
            if event.kind == "progress" and event.data["job"] == waits:
                gate.touch()
    assert {event.data.get("id") or event.data.get("job") for event in seen} == {talks, waits}
    assert {"log", "progress", "done"} <= {event.kind for event in seen}


def test_figures_are_ones_own(callers: Callers) -> None:
    """Counts are of the caller's own jobs; an administrator's are of all."""
    for _ in range(2):
        submit(callers("ida"), delay=3600)
    own = callers("ida").get("/stats").json()
    assert (sum(own["jobs"].values()), own["jobs"]["pending"]) == (2, 2)
    tasks = {task["name"]: task["figures"] for task in callers("ida").get("/tasks").json()["items"]}
    assert tasks["never_end"]["jobs"]["pending"] == 2
    assert tasks["sleep"]["jobs"]["pending"] == 0
    assert sum(callers("ops", "admin").get("/stats").json()["jobs"].values()) > 2
    assert sum(callers("new").get("/stats").json()["jobs"].values()) == 0
