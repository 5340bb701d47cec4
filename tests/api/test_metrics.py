import asyncio
import json
import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Final, TypeAlias

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.raw import connect
from tests.support.server import Server

ROOT: Final = Path(__file__).parents[2]
DASHBOARD: Final = json.loads((ROOT / "docs" / "grafana.json").read_text())
DOCUMENTED: Final = set(re.findall(r"`(awaitd_\w+)`", (ROOT / "docs" / "telemetry.md").read_text()))
OFTEN: Final = 40
WAIT: Final = {"Prefer": "wait=20"}
NOBODY: Final = "0198c0de-0000-7000-8000-000000000000"

Samples: TypeAlias = dict[tuple[str, frozenset[tuple[str, str]]], float]


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
    assert values["awaitd_slots"] in (0, 1000)  # nodes look for workers now and then
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


async def load(url: str) -> list[str]:
    """Many requests at once, and what was scraped meanwhile and after."""
    body = {"task": "echo", "params": {"value": 1}}
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        before = (await client.get("/metrics")).text
        posts = [client.post("/jobs", json=body, headers=WAIT) for _ in range(OFTEN)]
        scrapes = [client.get("/metrics") for _ in range(3)]
        answers = await asyncio.gather(*posts[:20], *scrapes, *posts[20:])
        assert {answer.status_code for answer in answers} == {200}
        return [before] + [a.text for a in answers[20:23]] + [(await client.get("/metrics")).text]


def samples_of(text: str) -> Samples:
    """The values of a scrape by name and labels, none of which is there twice."""
    families = text_string_to_metric_families(text)
    found = [
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in families
        for sample in family.samples
    ]
    samples = dict(found)
    assert len(samples) == len(found)
    return samples


def require_cumulative(samples: Samples) -> None:
    """Each bucket of a histogram holds those below it, and the last one all that are counted."""
    buckets = defaultdict(list)
    for (name, labels), value in samples.items():
        if name.endswith("_bucket"):
            of = frozenset(item for item in labels if item[0] != "le")
            buckets[name.removesuffix("_bucket"), of].append((float(dict(labels)["le"]), value))
    assert buckets
    for (name, of), found in buckets.items():
        counts = [value for _, value in sorted(found)]
        assert counts == sorted(counts), name
        assert len(counts) > 5, name
        assert (max(found)[0], counts[-1]) == (math.inf, samples[f"{name}_count", of]), name


def test_metrics_under_load(server: Server) -> None:
    """A Prometheus parser reads every scrape, no counter goes back, and every job is counted."""
    scrapes = [samples_of(text) for text in asyncio.run(load(server.url))]
    first, *_, last = scrapes
    for scrape in scrapes:
        require_cumulative(scrape)
        for (name, labels), value in scrape.items():
            if name.endswith(("_total", "_count", "_bucket", "_sum")):
                assert first.get((name, labels), 0.0) <= value <= last[name, labels], name

    def more(name: str, **labels: str) -> float:
        of = name, frozenset(labels.items())
        return last[of] - first.get(of, 0.0)

    assert more("awaitd_jobs_ended_total", task="echo", status="completed") == OFTEN
    assert more("awaitd_job_duration_seconds_count", task="echo") == OFTEN
    assert more("awaitd_job_wait_seconds_count", task="echo") == OFTEN
    posts = {"method": "POST", "route": "/jobs", "status": "200"}
    assert more("awaitd_http_request_duration_seconds_count", **posts) == OFTEN
    assert more("awaitd_commit_changes_sum") >= OFTEN
    assert 0 < more("awaitd_commit_duration_seconds_count") <= more("awaitd_commit_changes_sum")


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("GET", f"/jobs/{NOBODY}", ("GET", "/jobs/{job_id}", "404")),
        ("HEAD", "/jobs", ("HEAD", "/jobs", "200")),
        ("GET", "/problems/not-found", ("GET", "/problems/{slug}", "200")),
        ("PUT", "/jobs", ("PUT", "/jobs", "405")),
        ("GET", "/nowhere/else", ("GET", "other", "404")),
        ("PROPFIND", "/nowhere", ("other", "other", "404")),
    ],
)
def test_answers_are_counted_by_template(
    client: httpx.Client, method: str, path: str, labels: tuple[str, str, str]
) -> None:
    """Whichever way a request is answered; strangers make up neither methods nor routes."""
    of = frozenset(zip(("method", "route", "status"), labels, strict=True))
    count = "awaitd_http_request_duration_seconds_count", of
    before = samples_of(client.get("/metrics").text).get(count, 0.0)
    client.request(method, path)
    assert samples_of(client.get("/metrics").text)[count] == before + 1


def test_ends_are_counted_from_zero(hasty: Server) -> None:
    """Each task has a counter of each way to end, before any job of it has: so rates are right."""
    samples = samples_of(hasty.client.get("/metrics").text)
    for status in ("completed", "failed", "cancelled"):
        of = frozenset({"task": "never_end", "status": status}.items())
        assert samples["awaitd_jobs_ended_total", of] >= 0


def names_in(client: httpx.Client) -> dict[str, set[str]]:
    """The labels of every metric that is there, by its sample's name and its family's."""
    client.post("/jobs", json={"task": "echo", "params": {"value": 1}}, headers=WAIT)
    client.post("/jobs", json={"task": "echo", "params": {"value": 1}, "delay": 3600})
    gone = {"url": "http://127.0.0.1:9/"}  # where nobody listens
    client.post("/jobs", json={"task": "echo", "params": {"value": 1}, "webhook": gone})
    while "awaitd_webhooks_oldest" not in (text := client.get("/metrics").text):
        pass
    names: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = set(sample.labels)
            names[sample.name] = labels
            names[family.name + "_total" * (family.type == "counter")] = labels - {"le"}
    return names


def test_the_dashboard_asks_for_what_there_is(client: httpx.Client) -> None:
    """Every metric of the Grafana dashboard exists, with the labels that it is grouped by."""
    names = names_in(client)
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            asked = re.findall(r"awaitd_\w+", target["expr"])
            assert asked
            assert set(asked) <= set(names), panel["title"]
            grouped = ", ".join(re.findall(r"by \(([^)]*)\)", target["expr"]))
            shown = re.findall(r"{{(\w+)}}", target["legendFormat"])
            labels = {"instance"}.union(*(names[name] for name in asked))
            assert {*shown, *grouped.split(", ")} - {""} <= labels, panel["title"]


def test_the_dashboard_and_the_docs_leave_out_none(client: httpx.Client) -> None:
    """Every metric has its place in both, and nothing else has."""
    ends = ("_bucket", "_count", "_sum")
    families = {name for name in names_in(client) if not name.endswith(ends)}
    assert families == DOCUMENTED
    text = json.dumps(DASHBOARD)
    assert [name for name in families if name not in text] == []


def test_who_hangs_up_is_counted(server: Server, client: httpx.Client) -> None:
    """A request that nobody was left to be given the answer of has status 499."""
    job = server.submit("sleep", seconds=3600)["links"]["self"]
    for path in (job, f"{job}/result"):
        with connect(server.url) as peer:
            peer.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nPrefer: wait=60\r\n\r\n".encode())
    pattern = r'_duration_seconds_count\{method="GET",route="(.*)",status="499"\}'
    asked = {"/jobs/{job_id}", "/jobs/{job_id}/result"}
    while not asked <= set(re.findall(pattern, client.get("/metrics").text)):
        pass
    client.delete(job)
