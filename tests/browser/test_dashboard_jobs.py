"""The table of jobs: live, filtered, page by page, and what is done with many of them."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from tests.support.browser import HIDE, Visit
from tests.support.gates import open_gate
from tests.support.server import Server

pytestmark = pytest.mark.browser

Begin = Callable[[str], Visit]

COUNT_DRAWS = """() => {
  window.drawn = { frames: 0, changes: 0 };
  const tick = () => { drawn.frames += 1; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
  const count = () => { drawn.changes += 1; };
  new MutationObserver(count).observe(document.body, { childList: true, subtree: true });
}"""


def submit_all(server: Server, label: str, values: Sequence[int]) -> list[str]:
    """Submit a job for each value, and return their ids in the order of the values."""

    def submit(value: int) -> str:
        body = {"task": "give_back", "params": {"value": value}, "labels": {"of": label}}
        return str(server.client.post("/jobs", json=body).json()["id"])

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(submit, values))


def table_of(visit: Visit, query: str) -> Page:
    """The table with these filters, once it keeps up."""
    visit.page.goto(f"{visit.host}/#/jobs?{query}")
    expect(visit.page.locator(".connection")).to_have_text("live")
    expect(visit.page.get_by_text("on this page")).to_be_visible()
    return visit.page


def rows(page: Page) -> Locator:
    """The rows of the table."""
    return page.locator("table.jobs tbody tr")


def test_filters_are_in_the_address(dashboard: Server, visit: Begin) -> None:
    """What is chosen is in the address, is what is listed, and outlasts a reload."""
    done = submit_all(dashboard, "filters", range(3))
    fail = {"task": "fail", "params": {"message": "no"}, "labels": {"of": "filters"}}
    failed = dashboard.client.post("/jobs", json=fail).json()["id"]
    for job_id in (*done, failed):
        dashboard.job(job_id, wait=10)
    page = table_of(visit(dashboard.url), "")
    page.get_by_label("Label").fill("of:filters")
    page.get_by_label("Label").press("Enter")
    expect(rows(page)).to_have_count(4)
    page.get_by_role("button", name="failed", exact=True).click()
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("RuntimeError: no")
    page.get_by_label("Task").select_option("fail")
    page.get_by_label("From").fill("2020-01-01T00:00")
    page.reload()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("button", name="failed", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(page.get_by_label("From")).to_have_value("2020-01-01T00:00")
    for part in ("status=failed", "task=fail", "label=of%3Afilters", "created_after=20"):
        assert part in page.url
    page.get_by_label("Until").fill("2020-01-02T00:00")
    expect(page.get_by_text("No job matches.")).to_be_visible()
    page.get_by_label("Until").fill("")
    page.get_by_role("button", name=re.compile("^fail .*remove this filter")).click()
    page.get_by_role("button", name="failed", exact=True).click()
    expect(rows(page)).to_have_count(4)


def test_a_job_is_found_by_its_id(dashboard: Server, visit: Begin) -> None:
    """An id within any text leads to its job; what has none is refused where it is typed."""
    job_id = submit_all(dashboard, "search", [1])[0]
    page = table_of(visit(dashboard.url), "")
    search = page.get_by_label("Id", exact=True)
    search.fill("0199")
    search.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("no whole id")
    search.fill(f" see http://localhost/jobs/{job_id.upper()}/result ")
    search.press("Enter")
    expect(page.locator("p.id code")).to_have_text(job_id)


def test_older_jobs_are_on_further_pages(dashboard: Server, visit: Begin) -> None:
    """Each job is on one page, newest first, and the way back leads to the first."""
    ids = submit_all(dashboard, "pages", range(120))
    page = table_of(visit(dashboard.url), "label=of:pages")
    seen: list[str] = []
    for size in (50, 50, 20):
        expect(rows(page)).to_have_count(size)
        seen += [str(row.get_attribute("data-id")) for row in rows(page).all()]
        if size == 50:
            page.get_by_role("link", name="Older").click()
            expect(rows(page).first).not_to_have_attribute("data-id", seen[-50])
    assert seen == sorted(ids, reverse=True)
    page.get_by_role("link", name="Newest").click()
    expect(rows(page).first).to_have_attribute("data-id", max(ids))
    page.get_by_label("Rows").select_option("500")
    expect(rows(page)).to_have_count(120)


def test_many_jobs_are_cancelled_after_a_question(
    dashboard: Server, visit: Begin, tmp_path: Path
) -> None:
    """The question has the number of them; only those that can be are cancelled, and it is said."""
    for _ in range(3):
        body = {
            "task": "walk",
            "params": {"folder": str(tmp_path)},
            "labels": {"of": "many"},
        }
        dashboard.client.post("/jobs", json=body)
    done = submit_all(dashboard, "many", [1])[0]
    dashboard.job(done, wait=10)
    page = table_of(visit(dashboard.url), "label=of:many")
    expect(rows(page).filter(has_text="running")).to_have_count(3)
    page.get_by_label("Select all on this page").check()
    expect(page.get_by_text("4 selected")).to_be_visible()
    page.get_by_role("button", name="Cancel 3").click()
    dialog = page.get_by_role("dialog", name="Cancel 3 jobs?")
    expect(dialog).to_contain_text("0 pending, which will never start, and 3 running")
    dialog.get_by_role("button", name="Go back").click()
    expect(rows(page).filter(has_text="running")).to_have_count(3)
    page.get_by_role("button", name="Cancel 3").click()
    dialog.get_by_role("button", name="Cancel 3 jobs").click()
    expect(rows(page).filter(has_text="cancelled")).to_have_count(3)
    expect(rows(page).filter(has_text="completed")).to_have_count(1)
    expect(page.get_by_text("Select jobs to cancel them")).to_be_visible()


def test_many_jobs_run_again_after_a_question(dashboard: Server, visit: Begin) -> None:
    """As many are submitted as were selected, and they appear; they had been waiting to."""
    ids = submit_all(dashboard, "again", range(3))
    page = table_of(visit(dashboard.url), "label=of:again")
    expect(rows(page).filter(has_text="completed")).to_have_count(3)
    for number in (0, 1):
        rows(page).nth(number).get_by_role("checkbox").focus()
        page.keyboard.press("Space")
    submit_all(dashboard, "again", [4])
    expect(page.get_by_text("1 newer job will come")).to_be_visible()
    expect(rows(page)).to_have_count(3)
    page.get_by_role("button", name="Run 2 again").click()
    question = page.get_by_role("dialog", name="Run 2 jobs again?")
    question.get_by_role("button", name="Submit 2 jobs").click()
    expect(page.get_by_text("2 jobs submitted.")).to_be_visible()
    expect(rows(page).filter(has_text="completed")).to_have_count(6)  # the newer one came too
    listed = dashboard.client.get("/jobs", params={"label": "of:again", "limit": 2}).json()
    params = [dashboard.job(one["id"], wait=10)["params"]["value"] for one in listed["items"]]
    assert sorted(params) == sorted(ids.index(one) for one in sorted(ids)[1:])


def test_500_jobs_that_come_at_once_do_not_freeze_the_table(
    dashboard: Server, visit: Begin
) -> None:
    """They are taken in frame by frame; then all are there as they ended, and can be selected."""
    page = table_of(visit(dashboard.url), "label=of:flood&limit=500")
    page.evaluate(COUNT_DRAWS)
    ids = submit_all(dashboard, "flood", range(500))
    expect(rows(page)).to_have_count(500, timeout=30_000)
    expect(rows(page).filter(has_text="completed")).to_have_count(500, timeout=30_000)
    shown = page.eval_on_selector_all("tr[data-id]", "all => all.map((row) => row.dataset.id)")
    assert shown == sorted(ids, reverse=True)
    frames, changes = page.evaluate("() => [drawn.frames, drawn.changes]")
    assert changes <= 2 * frames, "news are taken in more often than frames are drawn"
    assert changes < 500
    page.get_by_label("Select all on this page").check()
    expect(page.get_by_text("500 selected")).to_be_visible()


def test_a_hidden_tab_closes_its_stream_and_goes_on_from_there(
    dashboard: Server, visit: Begin, tmp_path: Path
) -> None:
    """Hidden, the tab has no stream and asks for nothing; seen again, it resumes by the last id."""
    look = visit(dashboard.url)
    streams: list[Request] = []
    look.page.on("request", lambda one: streams.append(one) if "/events" in one.url else None)
    body = {"task": "walk", "params": {"folder": str(tmp_path)}, "labels": {"of": "hidden"}}
    job = dashboard.client.post("/jobs", json=body).json()
    page = table_of(look, "label=of:hidden")
    expect(rows(page).filter(has_text="running")).to_have_count(1)
    with page.expect_event("requestfailed", lambda request: "/events" in request.url):
        page.evaluate(HIDE, True)
    expect(page.locator(".connection")).to_have_text("paused")
    for name in ("1", "2", "3", "4", "end"):
        open_gate(tmp_path / name)
    dashboard.job(job["id"], wait=10)
    submit_all(dashboard, "hidden", [1])
    expect(rows(page)).to_have_count(1)
    assert len(streams) == 1
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.evaluate(HIDE, False)
    expect(rows(page).filter(has_text="completed")).to_have_count(2)
    assert [request.headers.get("last-event-id", "").isdigit() for request in streams] == [
        False,
        True,
    ]
    assert [url for url in requests if "/events" not in url] == []


def test_no_key_of_a_keyboard_is_needed_but_tab_space_and_enter(
    dashboard: Server, visit: Begin
) -> None:
    """The first stop of the tabulator leads past the header, the next ones to all controls."""
    submit_all(dashboard, "keyboard", [1])
    page = table_of(visit(dashboard.url), "label=of:keyboard")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    link = rows(page).get_by_role("link", name="give_back")
    for _ in range(40):
        page.keyboard.press("Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("give_back")
    expect(page.locator("main")).to_be_focused()
    expect(page).to_have_title(re.compile("give_back"))
