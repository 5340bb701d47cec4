import re
import socket
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from app.api import docs

FOLDER = Path(docs.__file__).with_name("swagger_ui")
OWN = {"VENDORED.md", "index.html", "init.js", "page.css"}


def app_under(prefix: str) -> FastAPI:
    """An app that serves the page, and nothing else, under a prefix."""
    app = FastAPI(docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(docs.router)
    if not prefix:
        return app
    outer = FastAPI(docs_url=None, openapi_url=None, redirect_slashes=False)
    outer.mount(prefix, app)
    return outer


@pytest.fixture(scope="module", params=["", "/prefix"])
def base_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a running app that serves the page at its root or under a prefix."""
    prefix: str = request.param
    server = uvicorn.Server(uvicorn.Config(app_under(prefix), log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}{prefix}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(base_url: str) -> Iterator[httpx.Client]:
    """A client of that app."""
    with httpx.Client(base_url=base_url) as client:
        yield client


def links_of(page: str) -> list[str]:
    """Where the page's elements point."""
    return re.findall(r'(?:src|href)="([^"]+)"', page)


def test_page_may_load_nothing_but_its_own_files(client: httpx.Client) -> None:
    """The page's policy names no other host and allows no inline code or style."""
    answer = client.get("/docs")
    policy = dict(
        directive.split(maxsplit=1)
        for directive in answer.headers["content-security-policy"].split("; ")
    )
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def test_all_links_of_the_page_lead_somewhere(client: httpx.Client) -> None:
    """Every link of the page is relative and answers, at the root and under a prefix."""
    page = client.get("/docs")
    links = links_of(page.text)
    assert "openapi.json" in links
    for link in links:
        assert not link.startswith(("/", "http"))
        assert client.get(page.url.join(link)).status_code == 200


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("init.js", "text/javascript; charset=utf-8"),
        ("page.css", "text/css; charset=utf-8"),
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("favicon-32x32.png", "image/png"),
    ],
)
def test_assets_keep_their_type(client: httpx.Client, name: str, media_type: str) -> None:
    """An asset comes unchanged, with its own media type."""
    answer = client.get(f"/docs/{name}")
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["content-type"] == media_type


@pytest.mark.parametrize("path", ["/docs", "/docs/swagger-ui-bundle.js"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}'])
def test_known_files_are_not_sent_again(client: httpx.Client, path: str, form: str) -> None:
    """A browser that names the file's tag, alone, weakened or in a list, gets 304 and no body."""
    first = client.get(path)
    known = form.format(first.headers["etag"])
    again = client.get(path, headers={"If-None-Match": known})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"] == "no-cache"


def test_changed_files_are_sent_again(client: httpx.Client) -> None:
    """A browser that has another version of a file gets the present one."""
    answer = client.get("/docs/init.js", headers={"If-None-Match": '"another"'})
    assert answer.status_code == 200
    assert answer.content


@pytest.mark.parametrize("path", ["/docs", "/docs/swagger-ui.css"])
def test_head_answers_as_get_without_a_body(client: httpx.Client, path: str) -> None:
    """HEAD has the status and headers of GET, and no body."""
    get, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag", "content-security-policy"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize(
    "name", ["", "VENDORED.md", "index.html", "none.js", "../docs.py", "..%2fdocs.py", "%2e%2e"]
)
def test_nothing_else_is_served(client: httpx.Client, name: str) -> None:
    """Only the files in the table are served; no other path leads to a file."""
    assert client.get(f"/docs/{name}").status_code == 404


def test_page_is_no_part_of_the_contract(client: httpx.Client) -> None:
    """The OpenAPI document does not list the page or its files."""
    assert client.get("/openapi.json").json()["paths"] == {}


def test_vendored_files_are_those_listed() -> None:
    """Each vendored file has the checksum that VENDORED.md states, and no file is unlisted."""
    page = (FOLDER / "VENDORED.md").read_text()
    listed = dict(re.findall(r"^\| `(.+)` \| `([0-9a-f]{64})` \|$", page, re.MULTILINE))
    vendored = {file.name: file for file in FOLDER.iterdir() if file.name not in OWN}
    assert {name: sha256(file.read_bytes()).hexdigest() for name, file in vendored.items()} == (
        listed
    )


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css"])
def test_no_file_asks_for_a_source_map(name: str) -> None:
    """Open developer tools find no source map to ask for."""
    assert "sourceMappingURL=" not in (FOLDER / name).read_text()
