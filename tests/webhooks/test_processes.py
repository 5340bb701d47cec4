"""Processes that end between the end of a job and its telling."""

from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.cluster import working
from tests.support.receiver import SECRET, Answer, Receiver
from tests.support.server import Server

SETTINGS: Final = {"AWAITD_WEBHOOK_SECRET": SECRET, "AWAITD_OUTBOUND_ALLOW": "127.0.0.1"}


def completed(server: Server, receiver: Receiver) -> Any:
    """A job that has ended, with a webhook."""
    body = {"task": "echo", "params": {"value": 1}, "webhook": {"url": receiver.url}}
    job = server.client.post("/jobs", json=body, headers={"Prefer": "wait=20"}).json()
    assert job["status"] == "completed"
    return job


def delivered(server: Server, job: Any) -> Any:
    """The delivery of a job, once it was made."""
    tag = ""
    while True:
        answer = server.client.get(job["links"]["self"], headers={"If-None-Match": tag})
        if answer.status_code == 200:
            tag = answer.headers["ETag"]
            [delivery] = answer.json()["webhook"]["deliveries"]
            if delivery["status"] == "delivered":
                return delivery


def test_killed_before_the_delivery(tmp_path: Path) -> None:
    """A server that is killed while it tells of a job tells it after the next start."""
    with Receiver(Answer(hangs=True)) as receiver, Server(tmp_path, **SETTINGS) as server:
        job = completed(server, receiver)
        first = receiver.message()
        server.kill()
        server.start()
        second = receiver.message()
        assert second.id == first.id
        assert second.verified()["data"]["id"] == job["id"]
        assert delivered(server, job)["attempts"] == 1


def test_stopped_while_a_receiver_hangs(tmp_path: Path) -> None:
    """A hanging receiver does not hold up a clean stop."""
    with Receiver(Answer(hangs=True)) as receiver, Server(tmp_path, **SETTINGS) as server:
        completed(server, receiver)
        receiver.message()
        assert server.terminate() == 0
        server.start()


def test_started_without_the_secret(tmp_path: Path) -> None:
    """A server that finds webhooks which it cannot sign says so, and keeps them."""
    with Receiver(Answer(hangs=True)) as receiver, Server(tmp_path, **SETTINGS) as server:
        job = completed(server, receiver)
        receiver.message()
        server.terminate()
        del server.settings["AWAITD_WEBHOOK_SECRET"]
        server.start()
        assert "without AWAITD_WEBHOOK_SECRET this process sends none" in server.log
        [delivery] = server.job(job["id"])["webhook"]["deliveries"]
        assert (delivery["status"], delivery["attempts"]) == ("pending", 0)


def test_unable_to_send(tmp_path: Path) -> None:
    """A server that cannot send says so in its log, and runs jobs all the same."""
    settings = SETTINGS | {"SSL_CERT_FILE": str(tmp_path / "none.pem")}
    with (
        Receiver() as receiver,
        Server(tmp_path, expects="no webhooks are sent|FileNotFoundError", **settings) as server,
    ):
        completed(server, receiver)
        assert "no webhooks are sent" in server.log


@pytest.mark.postgres
def test_another_node_delivers(tmp_path: Path) -> None:
    """What a node was telling when it was killed is told by another one, when its time is up."""
    psycopg = pytest.importorskip("psycopg", reason="needs the libraries of PostgreSQL")
    from tests.support.postgres import conninfo, drop_database, new_database

    url = new_database()
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    database = {"AWAITD_DATABASE_URL": url}
    first, second = (Server(folder, **SETTINGS, **database) for folder in folders)
    with Receiver(Answer(hangs=True)) as receiver, working(tmp_path, **database), first:
        job = completed(first, receiver)
        message = receiver.message()
        first.kill()
        with psycopg.connect(conninfo(url)) as db:  # so it seems that the time has passed
            assert db.execute("UPDATE deliveries SET due_at = 0").rowcount == 1
        with second:
            assert receiver.message().id == message.id
            assert delivered(second, job)["attempts"] == 1
        first.start()
    drop_database(url)
