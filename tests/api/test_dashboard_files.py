import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app.api import dashboard
from tests.support.app_server import serving
from tests.support.server import ROOT

FOLDER = ROOT / "app" / "web"
VENDORED = [FOLDER / "vendor", ROOT / "tests" / "browser" / "axe"]
OWN = sorted(
    path.relative_to(FOLDER).as_posix()
    for suffix in ("js", "css", "html", "svg")
    for path in FOLDER.rglob(f"*.{suffix}")
    if "vendor" not in path.parts
)
MODULES = [name for name in OWN if name.endswith(".js")]
MAX_LINES = 300


@pytest.fixture(scope="module", params=["", "/prefix"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client of an app that serves the dashboard at its root or under a prefix."""
    app = FastAPI(docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(dashboard.router)
    outer = FastAPI(docs_url=None, openapi_url=None, redirect_slashes=False)
    outer.mount(request.param, app)
    with serving(outer) as client:
        client.base_url = client.base_url.join(f"{request.param}/")
        yield client


def imports_of(name: str) -> list[str]:
    """What a module imports, also for its types, as it names it."""
    source = (FOLDER / name).read_text()
    return re.findall(r'(?:from ?|import\()"([^"]+)"', source)


def test_page_may_load_nothing_but_its_own_files(client: httpx.Client) -> None:
    """The page's policy names no other host, and allows no inline code, style or markup."""
    answer = client.get("")
    policy = dict(
        directive.split(maxsplit=1)
        for directive in answer.headers["content-security-policy"].split("; ")
    )
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def test_all_links_of_the_page_lead_to_its_files(client: httpx.Client) -> None:
    """Every style sheet and script is relative and answers, at the root and under a prefix."""
    page = client.get("")
    links = re.findall(r'(?:src|href)="(dashboard/[^"]+)"', page.text)
    assert {f"dashboard/{name}" for name in OWN if name.endswith(".css")} < set(links)
    for link in links:
        assert client.get(link).status_code == 200


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_what_is_there(client: httpx.Client, name: str) -> None:
    """Every module comes as a script, and so does what it imports: by relative addresses only."""
    url = client.base_url.join(f"dashboard/{name}")
    answer = client.get(url)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.text == (FOLDER / name).read_text()
    for imported in imports_of(name):
        assert imported.startswith(("./", "../"))
        assert client.get(url.join(imported)).status_code == 200


def test_no_module_is_left_over() -> None:
    """Every module is imported by another one, but the first."""
    files = set(FOLDER.rglob("*.js"))
    used = {
        (file.parent / imported).resolve()
        for file in files
        for imported in imports_of(file.relative_to(FOLDER).as_posix())
    }
    assert files - used == {FOLDER / "main.js"}


@pytest.mark.parametrize("path", ["", "dashboard/main.js", "dashboard/style/base.css"])
def test_known_files_are_not_sent_again(client: httpx.Client, path: str) -> None:
    """A browser that names the file's tag gets 304 and no body; HEAD has none either."""
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(path, headers={"If-None-Match": '"another"'})
    assert other.content == first.content
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "index.html",
        "vendor/VENDORED.md",
        "vendor/LICENSE-htm.txt",
        "vendor",
        "none.js",
        "../main.py",
        "..%2fmain.py",
        "%2e%2e/main.py",
        "/etc/passwd",
    ],
)
def test_nothing_else_is_served(client: httpx.Client, name: str) -> None:
    """Only the page's files are served, each under one path; no other path leads to a file."""
    assert client.get(f"dashboard/{name}").status_code == 404


@pytest.mark.parametrize("folder", VENDORED, ids=lambda folder: folder.name)
def test_vendored_files_are_those_listed(folder: Path) -> None:
    """Each vendored file has the checksum that VENDORED.md states, and no file is unlisted."""
    page = (folder / "VENDORED.md").read_text()
    listed = dict(re.findall(r"^\| `(.+)` \| `([0-9a-f]{64})` \|$", page, re.MULTILINE))
    files = {file.name: file for file in folder.iterdir() if file.name != "VENDORED.md"}
    assert {name: sha256(file.read_bytes()).hexdigest() for name, file in files.items()} == listed


def test_no_vendored_file_asks_for_a_source_map() -> None:
    """Open developer tools find no source map to ask for."""
    for file in (FOLDER / "vendor").glob("*.js"):
        assert "sourceMappingURL=" not in file.read_text()


@pytest.mark.parametrize("name", OWN)
def test_files_are_short(name: str) -> None:
    """No file has grown too long, and each says at its beginning what it is for."""
    lines = (FOLDER / name).read_text().splitlines()
    assert len(lines) <= MAX_LINES
    if name.endswith((".js", ".css")):
        assert lines[0].startswith(("/*", "/**"))
