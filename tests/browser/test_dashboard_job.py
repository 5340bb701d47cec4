"""The page of one job, while it lives, is cancelled, fails and is forgotten."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from app.keys import KeyFile
from tests.support.browser import HIDE, Visit
from tests.support.gates import open_gate
from tests.support.receiver import Answer, Receiver
from tests.support.server import Server

pytestmark = pytest.mark.browser

Begin = Callable[[str], Visit]

TASKS = "app.tasks,tests.support.dashboard_tasks"


def page_of(visit: Visit, job: Any) -> Page:
    """The page of a job."""
    visit.page.goto(f"{visit.host}/#/jobs/{job['id']}")
    expect(visit.page.get_by_role("heading", level=1)).to_contain_text(job["task"])
    return visit.page


def badge(page: Page) -> Locator:
    """What the page says that the job does."""
    return page.locator("h1 .badge")


def test_progress_moves_and_the_log_grows(dashboard: Server, visit: Begin, tmp_path: Path) -> None:
    """A running job is followed to its end without a reload: progress, log, result, timeline."""
    job = dashboard.submit("walk", folder=str(tmp_path))
    page = page_of(visit(dashboard.url), job)
    expect(badge(page)).to_have_text("▶ running")
    for step, percent in enumerate(["25 %", "50 %"], start=1):
        open_gate(tmp_path / str(step))
        expect(page.locator(".outcome .percent")).to_have_text(percent)
        expect(page.locator(".outcome .message")).to_have_text(f"step {step} of 4")
        expect(page.get_by_role("log")).to_contain_text(f"waits for step {step + 1}")
    page.get_by_text("Where it awaits now").click()
    expect(page.get_by_label("The chain of awaits")).to_contain_text("until_there")
    for name in ("3", "4", "end"):
        open_gate(tmp_path / name)
    expect(badge(page)).to_have_text("✓ completed")
    expect(page.get_by_role("region", name="result")).to_have_text('"arrived"')
    expect(page.locator(".log p")).to_have_count(4)
    expect(page.locator(".steps")).to_contain_text("Attempt 1 completed")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_a_line_is_shown_once_whoever_tells_it_first(dashboard: Server, visit: Begin) -> None:
    """Lines that were read before the stream tells them, and the other way round, come once."""
    page = visit(dashboard.url).page
    page.goto(f"{dashboard.url}/#/jobs")
    shown = page.evaluate(
        """async () => {
          const { LiveJob } = await import(new URL("dashboard/jobs/live_job.js", document.baseURI));
          const [a, b, c, d] = ["a", "b", "b", "d"].map((message, number) => (
            { time: `2030-01-01T00:00:0${Math.min(number, 2)}.000Z`, message, attempt: 1 }));
          const live = new LiveJob("none");
          live.lines.value = [a, b, c];
          for (const line of [a, b, c, d]) live.add(line);
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          const first = live.lines.value.map((line) => line.message).join("");
          const ahead = new LiveJob("none");
          ahead.lines.value = [a, b, c, d];
          for (const line of [b, c]) ahead.add(line);
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          return [first, ahead.lines.value.map((line) => line.message).join("")];
        }"""
    )
    assert shown == ["abbd", "abbd"]


def test_a_cancel_is_asked_for_and_shown_as_what_it_is(
    dashboard: Server, visit: Begin, tmp_path: Path
) -> None:
    """Cancelling is shown as cancelling until the coroutine has ended; then it runs again."""
    job = dashboard.submit("stop_slowly", gate=str(tmp_path / "gate"))
    page = page_of(visit(dashboard.url), job)
    cancel = page.get_by_role("button", name="Cancel", exact=True)
    cancel.click()
    dialog = page.get_by_role("dialog", name="Cancel this job?")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(badge(page)).to_have_text("▶ running")
    cancel.click()
    dialog.get_by_role("button", name="Cancel the job").click()
    expect(badge(page)).to_have_text("◌ cancelling")
    expect(page.get_by_role("button", name="Cancelling")).to_be_disabled()
    assert dashboard.job(job["id"])["status"] == "running"
    open_gate(tmp_path / "gate")
    expect(badge(page)).to_have_text(re.compile("cancelled$"))
    expect(page.get_by_role("region", name="result")).to_have_text('"stopped"')
    page.get_by_role("button", name="Run again").click()
    expect(badge(page)).to_have_text("▶ running")
    assert job["id"] not in page.url
    again = dashboard.job(page.url.rpartition("/")[2])
    assert again["params"] == dashboard.job(job["id"])["params"]
    dashboard.client.delete(f"/jobs/{again['id']}")
    expect(badge(page)).to_have_text(re.compile("cancelled$"))


def test_each_attempt_has_its_place_in_the_timeline(
    dashboard: Server, visit: Begin, tmp_path: Path
) -> None:
    """What failed is told with its error, what runs as running, both with the time it took."""
    job = dashboard.submit("fail_once", gate=str(tmp_path / "gate"))
    page = page_of(visit(dashboard.url), job)
    steps = page.locator(".steps li")
    failed = steps.filter(has_text="Attempt 1 failed")
    expect(failed).to_contain_text("ConnectionError: nobody is there")
    expect(steps.filter(has_text="Attempt 2 running")).to_contain_text(re.compile(r"\d s"))
    open_gate(tmp_path / "gate")
    expect(steps.last).to_contain_text("Ended completed")
    expect(page.locator(".bar .failed")).to_have_count(1)


def test_a_time_limit_of_whole_seconds_is_shown(dashboard: Server, visit: Begin) -> None:
    """The server writes it as 5.0, which is kept exactly, and is still a number."""
    body = {"task": "give_back", "params": {"value": 1}, "timeout": 5}
    page = page_of(visit(dashboard.url), dashboard.client.post("/jobs", json=body).json())
    expect(page.locator("div", has=page.get_by_text("Timeout", exact=True)).last).to_contain_text(
        "5.00 s"
    )


def copied(page: Page, name: str) -> str:
    """What a button copies."""
    page.get_by_role("button", name=name).click()
    expect(page.get_by_text(re.compile("^Copied: "))).to_be_visible()
    text = page.evaluate("() => navigator.clipboard.readText()")
    assert isinstance(text, str)
    return text


def test_what_is_copied_submits_the_same_job(
    dashboard: Server, visit: Begin, context: BrowserContext, tmp_path: Path
) -> None:
    """The command and the program run as they are copied, whatever is in the params."""
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    value: Any = {"it's": ['$HOME \\ "x"\n', None, True, 2**53 + 1, 1.5, {}], "é\u2028": []}
    body = {"task": "give_back", "params": {"value": value}, "timeout": 5}
    job = dashboard.client.post("/jobs", json=body).json()
    page = page_of(visit(dashboard.url), job)
    expect(badge(page)).to_have_text("✓ completed")
    assert copied(page, "Copy id") == job["id"]
    page.reload()
    command = copied(page, "Copy as curl")
    made = subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout
    page.reload()
    program = copied(page, "Copy as Python")
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout.startswith(b"20")
    ids = [json.loads(made)["id"], re.findall(r"'id': '([^']+)'", ran.stdout.decode())[0]]
    copies = [dashboard.job(one, wait=10) for one in ids]
    assert [copy["result"] for copy in copies] == [value, value]
    assert [copy["timeout"] for copy in copies] == [5, 5]


@pytest.mark.parametrize("timeout", [None, 5, 1.25])
def test_a_copy_has_the_options_of_its_job(
    dashboard: Server, visit: Begin, timeout: float | None
) -> None:
    """Run at once or by the form: labels, priority and the time limit are those of the job."""
    options = {"labels": {"a": "b"}, "priority": 3, "timeout": timeout}
    body = {"task": "give_back", "params": {"value": 1}, **options}
    job = dashboard.client.post("/jobs", json=body).json()
    for button in ("Run again", "Edit and run again"):
        page = page_of(visit(dashboard.url), job)
        page.get_by_role("button", name=button, exact=True).or_(
            page.get_by_role("link", name=button, exact=True)
        ).click()
        if button.startswith("Edit"):
            page.get_by_role("button", name="Submit").click()
        page.wait_for_url(lambda url: "/jobs/" in url and job["id"] not in url)
        copy = dashboard.job(page.url.rpartition("/")[2])
        assert {name: copy[name] for name in options} == options


def test_the_key_is_in_nothing_that_is_copied(
    start_server: Callable[..., Server], visit: Begin, context: BrowserContext, tmp_path: Path
) -> None:
    """With a key in use, what is copied takes it from the environment."""
    key = KeyFile(tmp_path / "data").add("anna")
    server = start_server(AWAITD_TASKS=TASKS)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    auth = {"Authorization": f"Bearer {key}"}
    job = server.submit("give_back", value=1, headers=auth | {"Prefer": "wait=10"})
    look = visit(server.url)
    look.expected = ("401", "403")
    look.page.goto(f"{server.url}/#/jobs/{job['id']}")
    field = look.page.get_by_label("Key")
    for wrong in ("ü🎉", "schlüssel", "a b"):
        field.fill(wrong)
        look.page.get_by_role("button", name="Use this key").click()
        assert "ASCII" in str(field.evaluate("(field) => field.validationMessage"))
        expect(field).to_have_value(wrong)
    field.fill(key)
    look.page.get_by_role("button", name="Use this key").click()
    env = {"AWAITD_API_KEY": key, "PATH": "/usr/bin:/bin"}
    command = copied(look.page, "Copy as curl")
    assert key not in command
    made = subprocess.run(["bash", "-c", command], capture_output=True, check=True, env=env).stdout
    assert json.loads(made)["task"] == "give_back"
    look.page.reload()
    program = copied(look.page, "Copy as Python")
    assert key not in program
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=env)
    assert ran.stdout.startswith(b"20")


def test_long_texts_and_big_numbers_are_shown_whole(dashboard: Server, visit: Begin) -> None:
    """Of a long value the beginning is shown, and all of it when asked; no number changes."""
    text = "".join(f"<b>{number}</b> " for number in range(5_000))
    value = {"text": text, "big": 2**63 - 1}
    job = dashboard.submit("give_back", value=value, headers={"Prefer": "wait=10"})
    page = page_of(visit(dashboard.url), job)
    shown = page.get_by_role("region", name="result")
    expect(shown).not_to_contain_text("<b>4999</b>")
    page.get_by_role("button", name=re.compile("Show all")).last.click()
    expect(shown).to_contain_text(text.strip())
    expect(shown).to_contain_text(f'"big": {2**63 - 1}')


def test_a_job_that_is_gone_is_said_to_be(
    start_server: Callable[..., Server], visit: Begin
) -> None:
    """An expired job is shown as expired, also to who looks at it then, and leaves the table."""
    server = start_server(AWAITD_RETENTION="1", AWAITD_TASKS=TASKS)
    job = server.submit("give_back", value=1)
    table = visit(server.url).page
    table.goto(f"{server.url}/#/jobs")
    expect(table.locator("tr[data-id]")).to_have_count(1)
    table.evaluate(HIDE, True)
    look = visit(server.url)
    look.expected = ("404", "410")
    page = look.page
    page.goto(f"{server.url}/#/jobs/{job['id']}")
    expect(page.get_by_role("heading", name="Expired job")).to_be_visible()
    expect(page.get_by_role("button", name="Run again")).to_have_count(0)
    table.evaluate(HIDE, False)  # the id to resume from is out of reach
    expect(table.get_by_text("No job yet.")).to_be_visible()
    page.goto(f"{server.url}/#/jobs/none")
    expect(page.get_by_role("alert")).to_contain_text("There is no such job")


def test_a_restart_is_lost_and_then_resumed(
    start_server: Callable[..., Server], visit: Begin, tmp_path: Path
) -> None:
    """A killed server is told as a lost connection; when it is back, so is the page."""
    server = start_server(AWAITD_TASKS=TASKS)
    server.settings["AWAITD_PORT"] = server.url.rpartition(":")[2]
    look = visit(server.url)
    look.expected = ("ERR_",)
    job = server.submit("walk", folder=str(tmp_path))
    page = page_of(look, job)
    expect(page.get_by_role("log")).to_contain_text("waits for step 1")
    server.kill()
    lost = page.get_by_role("alert").filter(has_text="Connection lost")
    expect(lost).to_contain_text("What you see is from")
    lost.get_by_role("button", name="Try now").click()
    expect(page.locator(".connection")).to_have_text("connection lost")
    expect(badge(page)).to_have_text("▶ running")
    server.start()
    expect(page.locator(".connection")).to_have_text("live")
    expect(lost).to_have_count(0)
    expect(badge(page)).to_have_text("✕ failed")
    expect(page.locator(".outcome")).to_contain_text("interrupted")


def test_a_webhook(dashboard: Server, visit: Begin) -> None:
    """Details say who is told, why that failed and when it is tried again, and that it was told."""

    def submit(url: str, **more: Any) -> Any:
        body = {"task": "echo", "params": {"value": 1}, "webhook": {"url": url}, **more}
        return dashboard.client.post("/jobs", json=body).json()

    with Receiver(Answer(500)) as receiver:
        page = page_of(visit(dashboard.url), submit(receiver.url))
        facts = page.locator(".facts")
        expect(facts).to_contain_text(receiver.url)
        expect(facts).to_contain_text("attempt 1 failed: HTTP 500; the next is due in")
        expect(facts).to_contain_text("delivered")
        page = page_of(visit(dashboard.url), submit(receiver.url, delay=3600))
        expect(page.locator(".facts")).to_contain_text("if it has completed, failed, cancelled")
