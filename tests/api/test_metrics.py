import re

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.server import Server


def test_the_figures_are_there_for_prometheus(server: Server, client: httpx.Client) -> None:
    """Each is a metric with a help text; jobs are counted by task and status."""
    server.submit("echo", value=1, headers={"Prefer": "wait=10"})
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert all(name.startswith("awaitd_") and families[name].documentation for name in families)
    completed = {
        sample.labels["task"]: sample.value
        for sample in families["awaitd_jobs"].samples
        if sample.labels["status"] == "completed"
    }
    assert completed["echo"] >= 1
    values = {name: families[name].samples[0].value for name in families}
    assert values["awaitd_slots"] == 1000
    assert values["awaitd_running"] == client.get("/stats").json()["slots"]["taken"]
    assert values["awaitd_loop_lag_seconds"] >= 0
    assert families["awaitd_loop_blocked"].type == "counter"
    assert families["awaitd_loop_blocked_seconds"].type == "counter"


def test_the_oldest_pending_job_is_shown_while_there_is_one(
    server: Server, client: httpx.Client
) -> None:
    """As the time of its submission."""
    body = {"task": "echo", "params": {"value": 1}, "delay": 3600}
    job = client.post("/jobs", json=body).json()
    pattern = r"^awaitd_oldest_pending_timestamp_seconds (.+)$"
    [oldest] = re.findall(pattern, client.get("/metrics").text, re.MULTILINE)
    assert 1.7e9 < float(oldest) < 1e11
    client.delete(job["links"]["self"])


def test_a_scrape_counts_nothing_twice(client: httpx.Client) -> None:
    """Each metric has one line for each set of labels."""
    client.get("/metrics")
    lines = [line.rpartition(" ")[0] for line in client.get("/metrics").text.splitlines()]
    samples = [line for line in lines if not line.startswith("#")]
    assert len(samples) == len(set(samples))
