"""What holds for every page of the dashboard: who may read it, what it may load, how it is seen."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.keys import KeyFile
from tests.support.browser import Visit
from tests.support.server import Server

pytestmark = pytest.mark.browser

Begin = Callable[[str], Visit]

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
TASKS = "app.tasks,tests.support.dashboard_tasks"

PAGES = {
    "overview": "#/",
    "jobs": "#/jobs?status=failed&status=running&status=completed&label=of:pages-seen",
    "no jobs": "#/jobs?label=of:nothing",
    "running": "#/jobs/{running}",
    "failed": "#/jobs/{failed}",
    "unknown": "#/jobs/none",
    "tasks": "#/tasks",
    "task": "#/tasks/place_order",
    "nowhere": "#/nowhere",
}

OPEN_ALL = "() => document.querySelectorAll('details').forEach((one) => { one.open = true; })"
VIOLATIONS = """async () => {
  const { violations } = await axe.run();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}"""


FORBIDDEN = [
    "style-src-elem",
    "style-src-attr",
    "connect-src",
    "require-trusted-types-for",
]

TRY_WHAT_IS_FORBIDDEN = """async (forbidden) => {
  const left = new Set(forbidden);
  const areAllRefused = new Promise((resolve) => {
    addEventListener("securitypolicyviolation", ({ effectiveDirective }) => {
      left.delete(effectiveDirective);
      if (!left.size) resolve();
    });
  });
  const add = (name, members) =>
    document.body.append(Object.assign(document.createElement(name), members));
  const tried = [
    () => add("style", { textContent: "p { color: red }" }),
    () => document.body.setAttribute("style", "color: red"),
    () => document.body.setAttribute("onclick", "alert(1)"),
    () => add("script", { text: "window.ran = true" }),
    () => { document.body.innerHTML += "<b>x</b>"; },
    () => fetch("http://127.0.0.1:9/").catch(() => {}),
  ];
  for (const attempt of tried) try { await attempt(); } catch { /* refused at once */ }
  await areAllRefused;
}"""


@pytest.fixture(scope="module")
def jobs(dashboard: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A job of each kind, and some that have ended."""
    folder = str(tmp_path_factory.mktemp("pages"))
    labels = {"of": "pages-seen"}

    def submit(task: str, **params: object) -> str:
        body = {"task": task, "params": params, "labels": labels}
        return str(dashboard.client.post("/jobs", json=body).json()["id"])

    ids = {"running": submit("walk", folder=folder), "failed": submit("fail", message="no\npaper")}
    dashboard.job(ids["failed"], wait=10)
    dashboard.job(submit("give_back", value="x" * 500), wait=10)
    return ids


@pytest.fixture(scope="module", params=["light", "dark"])
def seen(request: pytest.FixtureRequest, browser: Browser, dashboard: Server) -> Iterator[Visit]:
    """A visit on a narrow screen with this colour scheme, the same for all pages."""
    is_narrow = request.param == "dark"
    context = browser.new_context(
        color_scheme=request.param,
        viewport={"width": 390 if is_narrow else 1300, "height": 850},
    )
    visit = Visit(context.new_page(), dashboard.url)
    visit.expected = ("404",)
    yield visit
    context.close()
    assert (visit.foreign, visit.errors) == ([], [])


def settle(page: Page) -> None:
    """Wait until the page has what it shows."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text(re.compile(r"^Loading"))).to_have_count(0)


@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_use_every_page(seen: Visit, jobs: dict[str, str], name: str) -> None:
    """Each page, wide and light, narrow and dark, passes axe, and none is wider than the screen."""
    page = seen.page
    page.goto(f"{seen.host}/livez")  # of the same host, so that Chromium keeps its process
    page.goto(f"{seen.host}/{PAGES[name].format(**jobs)}")
    settle(page)
    page.evaluate(OPEN_ALL)
    settle(page)
    page.evaluate(AXE)
    assert page.evaluate(VIOLATIONS) == []
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")


def test_colours_follow_the_system(dashboard: Server, visit: Begin) -> None:
    """The page is dark when the system is, and turns light with it."""
    page = visit(dashboard.url).page
    background = "() => getComputedStyle(document.documentElement).backgroundColor"
    page.emulate_media(color_scheme="dark")
    page.goto(dashboard.url)
    dark = page.evaluate(background)
    page.emulate_media(color_scheme="light")
    assert sum(map(int, re.findall(r"\d+", page.evaluate(background)))) > 600
    assert sum(map(int, re.findall(r"\d+", dark))) < 150


def test_the_overview_shows_what_stats_says(dashboard: Server, visit: Begin) -> None:
    """Counts lead to the jobs that they count, and change as jobs do."""
    page = visit(dashboard.url).page
    page.goto(dashboard.url)
    before = dashboard.client.get("/stats").json()["jobs"]["failed"]
    tile = page.locator("a.tile.failed")
    expect(tile).to_have_text(re.compile(rf"^\s*{before:,} failed"))
    dashboard.submit("fail", message="once more", headers={"Prefer": "wait=10"})
    expect(tile).to_have_text(re.compile(rf"^\s*{before + 1:,} failed"))
    expect(page.locator(".latest").filter(has_text="Failed last")).to_contain_text("once more")
    page.get_by_text("Numbers").first.click()
    expect(page.get_by_role("region", name="Numbers of Ended each minute")).to_be_visible()
    page.get_by_role("button", name="last day").click()
    expect(page.get_by_role("img", name=re.compile("Ended each quarter hour"))).to_be_visible()
    tile.click()
    expect(page).to_have_url(re.compile(r"#/jobs\?status=failed$"))


def test_a_page_may_run_nothing_that_is_not_a_file_of_its_own(
    dashboard: Server, visit: Begin
) -> None:
    """Inline code and style, markup made from text and other hosts are refused by the policy."""
    look = visit(dashboard.url)
    look.expected = ("Content Security Policy", "This document requires")
    page = look.page
    page.goto(dashboard.url)
    settle(page)
    page.evaluate(TRY_WHAT_IS_FORBIDDEN, FORBIDDEN)
    assert page.evaluate("() => window.ran") is None


def test_a_key_is_asked_for_where_keys_are_in_use(
    start_server: Callable[..., Server], visit: Begin, tmp_path: Path
) -> None:
    """Without a key nothing is shown; a wrong one is refused; a right one stays with the tab."""
    file = KeyFile(tmp_path / "data")
    anna, reader = file.add("anna"), file.add("bert", scopes=("read",))
    server = start_server(AWAITD_TASKS=TASKS)
    look = visit(server.url)
    look.expected = ("401", "403")
    page = look.page
    page.goto(f"{server.url}/#/tasks/give_back")
    page.get_by_label("Key").fill("wrong")
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("alert")).to_contain_text("no live API key")
    page.get_by_label("Key").fill(anna)
    page.get_by_label("Key").press("Enter")
    page.locator('[id="field/params/value"]').fill("42")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.locator("h1 .badge")).to_have_text("✓ completed")
    assert anna not in page.content() + page.url
    kept = page.evaluate("() => [Object.values(sessionStorage), Object.keys(localStorage)]")
    assert kept == [[anna], []]
    page.reload()
    expect(page.locator("h1 .badge")).to_have_text("✓ completed")
    page.goto(f"{server.url}/#/jobs")
    expect(page.locator("table.jobs tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Forget key").click()
    page.get_by_label("Key").fill(reader)
    page.get_by_label("Key").press("Enter")
    expect(page.get_by_text("No job yet.")).to_be_visible()  # of its own owner
    page.goto(f"{server.url}/#/tasks/give_back")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("this key is for read, and not for submit")
