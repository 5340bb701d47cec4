import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.browser import CHROMIUM_OPTIONS, Visit
from tests.support.receiver import SECRET
from tests.support.server import Server

expect.set_options(timeout=20_000)

TASKS = "app.tasks,tests.support.dashboard_tasks"


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose dashboard is looked at, shared by tests that make jobs of their own."""
    settings = {
        "AWAITD_TASKS": TASKS,
        "AWAITD_SHUTDOWN_GRACE": "0",
        "AWAITD_OUTBOUND_ALLOW": "127.0.0.1",
        "AWAITD_WEBHOOK_SECRET": SECRET,
    }
    with Server(tmp_path_factory.mktemp("dashboard"), **settings) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, as the system has it; while it is open no other event loop can run."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("no `chromium` on PATH; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile, shared for what it caches; what belongs to a tab is each test's own."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture(scope="module")
def tabs() -> dict[str, Page]:
    """A tab for each host that has been visited: a new one takes longer than to load a page."""
    return {}


@pytest.fixture
def visit(context: BrowserContext, tabs: dict[str, Page]) -> Iterator[Callable[[str], Visit]]:
    """Begins visits, none of which may ask another host for anything or meet an error."""
    visits: list[Visit] = []

    def begin(host: str) -> Visit:
        page = tabs.pop(host) if host in tabs else context.new_page()
        visits.append(Visit(page, host))
        return visits[-1]

    yield begin
    for visit in visits:
        visit.end()
        assert (visit.foreign, visit.errors) == ([], [])
        tabs[visit.host] = visit.page
