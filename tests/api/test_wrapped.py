"""The app inside of other ASGI apps, which may change what it answers."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.main import Service, create_app
from app.settings import Settings
from tests.support.app_server import serving

PATHS = ("/tasks", "/jobs", "/livez", "/nope")


class Adding:
    """Adds a header field to each answer, as many do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-mine", b"1"))
            await send(message)

        await self._app(scope, receive, send_on)


@pytest.fixture
def app(tmp_path: Path) -> Service:
    """The service on an empty journal."""
    return create_app(Settings(data_dir=tmp_path))


def test_added_middleware(app: Service) -> None:
    """What is added to the app as FastAPI has it sees every answer."""
    app.add_middleware(Adding)
    with serving(app) as client:
        for path in PATHS:
            assert client.get(path).headers.get("x-mine") == "1"


@pytest.mark.parametrize("path", PATHS)
def test_around_it(app: Service, path: str) -> None:
    """A middleware around the app may change its answers, and the app may be mounted."""
    outer = FastAPI()
    outer.add_middleware(GZipMiddleware, minimum_size=1)
    outer.add_middleware(Adding)
    outer.mount("/q", app)
    with serving(outer) as client:
        answer = client.get(f"/q{path}")
    assert answer.status_code != 500
    assert answer.headers["x-mine"] == "1"
    assert answer.headers["content-encoding"] == "gzip"
