"""Webhooks as callers of the service see them."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.jobs.webhooks import EVENTS
from tests.support.contract import Contract
from tests.support.receiver import Answer, Receiver
from tests.support.server import Server

TOLD = ["completed", "failed", "cancelled"]


def submit(client: httpx.Client, webhook: Any, key: str | None = None) -> httpx.Response:
    """Submit a job with a webhook, and wait for it."""
    headers = {"Prefer": "wait=10"} | ({} if key is None else {"Idempotency-Key": key})
    body = {"task": "echo", "params": {"value": 1}, "webhook": webhook}
    return client.post("/jobs", json=body, headers=headers)


def settled(client: httpx.Client, job: Any, attempts: int = 1) -> httpx.Response:
    """The job once so many attempts to deliver have been made: clients poll with its tag."""
    tag = ""
    while True:
        answer = client.get(job["links"]["self"], headers={"If-None-Match": tag})
        if answer.status_code == 200:
            tag = answer.headers["ETag"]
            if answer.json()["webhook"]["deliveries"][0]["attempts"] >= attempts:
                return answer


def test_delivered(client: httpx.Client, receiver: Receiver) -> None:
    """The end of a job is told to its webhook, and the job shows that it was."""
    job = submit(client, {"url": receiver.url}).json()
    message = receiver.message()
    said = message.verified()
    assert (said["type"], said["data"]["id"]) == ("job.completed", job["id"])
    assert said["timestamp"] == job["finished_at"]
    webhook = settled(client, job).json()["webhook"]
    assert (webhook["url"], webhook["events"]) == (receiver.url, TOLD)
    [delivery] = webhook["deliveries"]
    assert delivery.pop("delivered_at") >= job["finished_at"]
    assert delivery == {
        "id": message.id,
        "event": "completed",
        "status": "delivered",
        "attempts": 1,
        "last_status": 204,
        "last_error": None,
        "next_attempt_at": None,
    }


def test_a_cancel_is_told(client: httpx.Client, receiver: Receiver) -> None:
    """A job that is cancelled before it starts is told of as well."""
    body = {"task": "echo", "delay": 3600, "webhook": {"url": receiver.url}}
    job = client.post("/jobs", json=body | {"params": {"value": 1}}).json()
    assert job["webhook"] == {"url": receiver.url, "events": TOLD, "deliveries": []}
    client.delete(job["links"]["self"])
    assert receiver.message().verified()["type"] == "job.cancelled"


def test_only_what_was_asked_for(client: httpx.Client, receiver: Receiver) -> None:
    """An event that was not asked for is not told."""
    job = submit(client, {"url": receiver.url, "events": ["failed", "failed"]}).json()
    assert job["webhook"]["events"] == ["failed"]
    assert submit(client, {"url": receiver.url}).json()["id"] in receiver.message().body.decode()
    assert client.get(job["links"]["self"]).json()["webhook"]["deliveries"] == []


def test_the_tag_tells_of_attempts(client: httpx.Client, receiver: Receiver) -> None:
    """The tag changes with each attempt; the job, its version and its short form do not."""
    receiver.others = Answer(500)
    path = submit(client, {"url": receiver.url}).json()["links"]["self"]
    answer = settled(client, {"links": {"self": path}})
    tag = answer.headers["ETag"]
    version, attempts, due = tag.strip('"').split(".")
    assert attempts == "1"
    assert int(due) > 0
    again = client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.headers["ETag"]) == (304, tag)
    assert client.get(path, headers={"If-None-Match": f'"{version}.0"'}).status_code == 200
    short = client.get(path, headers={"Prefer": "return=minimal"})
    assert short.headers["ETag"] == f'"{version}m"'
    assert "webhook" not in short.json()
    for known in (tag, f'"{version}.0"', f'"{version}"', f'"{version}m"'):
        assert client.delete(path, headers={"If-Match": known}).status_code == 200
    assert client.delete(path, headers={"If-Match": f'"1{version}.0"'}).status_code == 412


def test_the_next_attempt_shows(client: httpx.Client, receiver: Receiver) -> None:
    """After a failed attempt the job says why it failed, and when the next one is due."""
    receiver.others = Answer(302, {"Location": "/elsewhere"})
    job = submit(client, {"url": receiver.url}).json()
    [delivery] = settled(client, job).json()["webhook"]["deliveries"]
    assert (delivery["status"], delivery["last_status"]) == ("pending", 302)
    assert delivery["next_attempt_at"] > job["finished_at"]
    assert delivery["delivered_at"] is None


@pytest.mark.parametrize(
    ("webhook", "pointer"),
    [
        ("https://example.org/", "/webhook"),
        ({}, "/webhook/url"),
        ({"url": 5}, "/webhook/url"),
        ({"url": "ftp://example.org/"}, "/webhook/url"),
        ({"url": "example.org"}, "/webhook/url"),
        ({"url": "https://"}, "/webhook/url"),
        ({"url": "https://user:pw@example.org/"}, "/webhook/url"),
        ({"url": "https://exa mple.org/"}, "/webhook/url"),
        ({"url": "https://example.org/\n"}, "/webhook/url"),
        ({"url": "https://example.org/" + "x" * 2000}, "/webhook/url"),
        ({"url": "http://10.0.0.1/"}, "/webhook/url"),
        ({"url": "http://[::1]:80/"}, "/webhook/url"),
        ({"url": "http://169.254.169.254/"}, "/webhook/url"),
        ({"url": "https://example.org/", "events": []}, "/webhook/events"),
        ({"url": "https://example.org/", "events": ["done"]}, "/webhook/events/0"),
        ({"url": "https://example.org/", "events": "failed"}, "/webhook/events"),
        ({"url": "https://example.org/", "secret": "x"}, "/webhook/secret"),
    ],
)
def test_what_is_refused(client: httpx.Client, webhook: Any, pointer: str) -> None:
    """What is no webhook, or may not be reached, is refused with a pointer."""
    for path in ("/jobs", "/jobs?validate_only=true"):
        body = {"task": "echo", "params": {"value": 1}, "webhook": webhook}
        problem = client.post(path, json=body).json()
        assert problem["type"] == "/problems/invalid-params", problem
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
        assert "pw@" not in str(problem)


def test_null_is_none(client: httpx.Client) -> None:
    """A webhook that is null is none."""
    assert submit(client, None).json()["webhook"] is None


def test_without_a_secret(hasty: Server) -> None:
    """A server that has no secret to sign with says which setting it wants."""
    answer = submit(hasty.client, {"url": "https://example.org/"})
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/webhook")
    assert "AWAITD_WEBHOOK_SECRET" in error["detail"]


def test_the_webhook_is_a_part_of_the_submission(client: httpx.Client, receiver: Receiver) -> None:
    """A key belongs to a submission with its webhook; repeated, it finds the job, told once."""
    key = str(uuid4())
    job = submit(client, {"url": receiver.url}, key).json()
    assert submit(client, {"url": receiver.url}, key).json()["id"] == job["id"]
    other = submit(client, {"url": receiver.url + "2"}, key)
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    receiver.message()
    settled(client, job)
    assert not receiver.has_message()


def test_a_copy_has_no_webhook(client: httpx.Client, receiver: Receiver) -> None:
    """A copy takes task and params of its original, not its webhook."""
    job = submit(client, {"url": receiver.url}).json()
    assert client.post("/jobs", json={"copy_of": job["id"]}).json()["webhook"] is None


@pytest.mark.parametrize("task", ["echo", "fail", "sleep"])
def test_the_document_describes_the_message(
    client: httpx.Client, receiver: Receiver, task: str
) -> None:
    """Whatever is told is as the document has it: its headers, and its body by the event's name."""
    params = {"echo": {"value": 1}, "fail": {"message": "x"}, "sleep": {"seconds": 3600}}[task]
    body = {"task": task, "params": params, "webhook": {"url": receiver.url}, "labels": {"a": "b"}}
    job = client.post("/jobs", json=body).json()
    if task == "sleep":
        client.delete(job["links"]["self"])
    message = receiver.message()
    document = client.get("/openapi.json").json()
    told = document["webhooks"][message.verified()["type"]]["post"]
    named = {header["name"] for header in told["parameters"] if header["in"] == "header"}
    assert named == {name for name in message.headers if name.startswith("webhook-")}
    contract = Contract(document)
    content = told["requestBody"]["content"][message.headers["content-type"]]
    [example] = content["examples"].values()
    for value in (message.verified(), contract.example(example)):
        contract.require_valid(value, content["schema"])
        assert value.keys() == document["components"]["schemas"]["JobEnded"]["properties"].keys()
        ended = document["components"]["schemas"]["EndedJob"]["properties"]
        assert value["data"].keys() == ended.keys()


def test_every_event_is_described(client: httpx.Client) -> None:
    """The document has each event that can be told, and asks its receivers for no key of ours."""
    webhooks = client.get("/openapi.json").json()["webhooks"]
    assert set(webhooks) == {f"job.{event}" for event in EVENTS}
    assert all(described["post"]["security"] == [] for described in webhooks.values())


def again(client: httpx.Client, job: Any) -> httpx.Response:
    """Ask for the end of a job to be told once more."""
    return client.post(f"{job['links']['self']}/deliveries")


@pytest.mark.parametrize("status", [204, 410])
def test_once_more(client: httpx.Client, receiver: Receiver, status: int) -> None:
    """What was delivered, or has failed, is told again at once, as the same event."""
    receiver.answers.append(Answer(status))
    job = submit(client, {"url": receiver.url}).json()
    before = settled(client, job)
    first = receiver.message()
    answer = again(client, job)
    assert answer.status_code == 202
    assert (answer.json()["id"], answer.json()["status"]) == (first.id, "pending")
    second = receiver.message()
    assert second.id == first.id
    assert second.verified() == first.verified()
    after = settled(client, job, 2)
    [delivery] = after.json()["webhook"]["deliveries"]
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 2)
    assert after.headers["ETag"] != before.headers["ETag"]
    assert after.json()["finished_at"] == job["finished_at"]


def test_no_longer_put_off(client: httpx.Client, receiver: Receiver) -> None:
    """What is to be tried later is tried at once."""
    receiver.answers.append(Answer(503, {"Retry-After": "3600"}))
    job = submit(client, {"url": receiver.url}).json()
    settled(client, job)
    assert again(client, job).json()["attempts"] == 1
    [delivery] = settled(client, job, 2).json()["webhook"]["deliveries"]
    assert (delivery["status"], delivery["last_status"]) == ("delivered", 204)


def test_nothing_to_tell(client: httpx.Client, hasty: Server, receiver: Receiver) -> None:
    """A job whose end nobody is told says why; one that is not there is not found."""
    plain = submit(client, None).json()
    other = submit(client, {"url": receiver.url, "events": ["failed"]}).json()
    body = {"task": "echo", "delay": 3600, "webhook": {"url": receiver.url}}
    later = client.post("/jobs", json=body | {"params": {"value": 1}}).json()
    reasons = {"no webhook": plain, "jobs that are completed": other, "has not ended": later}
    for reason, job in reasons.items():
        problem = again(client, job)
        assert (problem.status_code, problem.json()["type"]) == (409, "/problems/no-delivery")
        assert reason in problem.json()["detail"]
        assert problem.json()["job"] == job["links"]["self"]
    client.delete(later["links"]["self"])
    nobody = {"links": {"self": "/jobs/0198c0de-0000-7000-8000-000000000000"}}
    assert again(client, nobody).status_code in (404, 410)
    mute = submit(hasty.client, None).json()
    assert "AWAITD_WEBHOOK_SECRET" in again(hasty.client, mute).json()["detail"]
