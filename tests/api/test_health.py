from pathlib import Path

import httpx

from tests.support.server import Server


def test_livez_says_that_the_process_lives(client: httpx.Client) -> None:
    """The process is alive when it answers, and no cache keeps that."""
    answer = client.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
    assert answer.headers["cache-control"] == "no-store"


def test_readyz_says_what_the_engine_holds(hasty: Server, gate: Path) -> None:
    """The service is ready, with how many jobs wait and run."""
    before = hasty.client.get("/readyz").json()
    hasty.submit("one_at_a_time", path=str(gate))
    hasty.submit("one_at_a_time", path=str(gate))
    answer = hasty.client.get("/readyz")
    after = answer.json()
    assert answer.status_code == 200
    assert (after["status"], after["reason"], after["unknown_tasks"]) == ("ready", None, {})
    assert after["pending"] - before["pending"] == 1
    assert after["running"] - before["running"] == 1
    assert answer.headers["cache-control"] == "no-store"
